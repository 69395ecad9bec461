// Package proc owns the processes of a lab: a node's sandbox (its own mount,
// PID and UTS namespaces around the node's network namespace, held by a small
// init), the processes inside it with their restart policy, and entering a
// node for a command. It refuses to know what the processes are for, and it
// makes neither network namespaces nor links.
//
// Everything in a sandbox dies with its init, and the init dies with the
// thread that forked it: a supervisor killed at any instant takes the
// processes of its lab along.
package proc
