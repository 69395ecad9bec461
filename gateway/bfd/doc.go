// Package bfd is Bidirectional Forwarding Detection, RFC 5880, asynchronous
// mode over single hops (RFC 5881), IPv4 and IPv6. The session machine is
// pure (Step takes an event and the time); one real-time thread drives all
// sessions of a network namespace. It refuses authentication, echo and
// demand mode, and knows nothing of BGP.
package bfd
