// Package lab brings a topology up as a running lab, keeps it running and
// takes it down without a trace. One supervisor process per lab (Supervise)
// owns its namespaces, links and processes and serves a unix socket; Lab is
// the client's hand on it and implements the verbs of fault.Lab. It refuses
// to decide what breaks or what that means, and it never touches the network
// namespace it is called from.
//
// A lab is found by its directory under Root, which exists before its first
// namespace and goes after its last: whatever is killed at whatever instant,
// Down and Sweep find what is left by the lab's name.
package lab
