// Package bgp is the gateway's BGP speaker behind the small contract
// Speaker: sessions, policy, best paths with their backups, graceful
// restart. It refuses to touch the kernel's routes: it says what the best
// paths are, others program them.
//
// Messages go through GoBGP's codec; the state machine and the tables are
// the package's own, because a gateway is judged by how soon it is back:
// GoBGP's server waits one to two seconds before its first connect and five
// after any loss, counts in whole seconds, and keeps options of the decision
// process in package variables. TestConnectTimeAgainstGoBGP measures the
// difference: some 3 ms from start to Established here, over a second there.
//
// How it is built: fsm decides what to do about a neighbour and knows no
// clock, socket or lock. session is one connection with its reader and
// writer. table holds every path, decider picks from them, and Router ties
// them together under one lock that is never held over I/O. Work on the
// whole table is cut into chunks, so no session waits for it.
package bgp
