// Package probe is the traffic tester of a lab: a process of its own that
// sends one-way UDP flows between namespaces, each packet with its sequence
// number and send instant, and records when the kernel received it. It owns
// the wire format, pacing, receive stamps and the record of the tester's own
// fitness; it refuses to interpret what it saw (package convergence does).
//
// A packet that the sending host refuses (no route, unreachable) counts as
// sent: a host that cannot send is in an outage, and leaving its packets out
// would shorten it. Only a full local transmit queue (ENOBUFS) is the
// tester's own fault, and it is counted apart.
package probe
