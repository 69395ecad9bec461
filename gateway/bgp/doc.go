// Package bgp is the gateway's BGP speaker behind the small contract
// Speaker: sessions, policy, best paths with their backups, graceful
// restart. It refuses to touch the kernel's routes: it says what the best
// paths are, others program them.
package bgp
