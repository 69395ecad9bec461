// Package gateway is the daemon: it owns the life of the parts (BFD, BGP, the
// kernel's routes, the agent between them), reload, graceful stop, and the
// status API on the unix socket. It refuses to know protocols: what a session
// or a route means is the parts' affair.
package gateway
