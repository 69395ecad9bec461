// Package cable owns the links of a lab: it creates veth ends directly in
// their final namespaces under their final names, and joins each cable's two
// pairs in a middle namespace by one eBPF program that passes, drops and
// counts. It refuses to know nodes, protocols or faults: it is told ends and
// states, and it makes no namespace.
package cable
