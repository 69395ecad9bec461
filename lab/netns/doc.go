// Package netns owns network namespaces: it makes, finds, enters and removes
// them, and is the only user of setns(2) in the harness. A namespace is
// visible to ip-netns(8) as a bind mount under /run/netns. It refuses to know
// what a namespace is for: no links, no addresses, no processes.
package netns
