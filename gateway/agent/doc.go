// Package agent is where gatewayd decides: BFD, links and BGP tell it what
// happened, and it tells the kernel and BGP what follows. It alone knows the
// siblings. Repairs go ahead of everything on a path of their own; best paths
// follow in bulk. It refuses to speak a protocol or netlink itself.
package agent
