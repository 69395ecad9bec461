// Package bfd is Bidirectional Forwarding Detection, RFC 5880, asynchronous
// mode over single hops (RFC 5881), IPv4 and IPv6, with what RFC 5882 asks of
// its clients' side. The session machine is pure (Step takes an event and the
// time); one real-time thread drives all sessions of a network namespace. It
// refuses authentication, echo and demand mode, and knows nothing of BGP.
//
// Detection is judged by the kernel's receive stamps, and only once the
// sockets are read dry: a thread that runs late reports a loss late, it does
// not invent one. Being late to send is another matter. After every wait a
// goroutine needs a processor of the Go scheduler (a P), and busy goroutines
// of the same program hold them for 10 ms and more at a time, whatever the
// priority of the thread. Engine therefore suits programs that leave
// processors idle (GOMAXPROCS well above the number of busy goroutines);
// Isolated, the same Engine in a process of its own, suits all.
package bfd
