// Package observe owns the harness's ear on the kernel: it listens to links,
// routes and next hops in every node's namespace and tells what changed, as
// it happened, on the lab's clock. It asks the kernel, not the programs in
// the node, so every routing daemon is seen alike. It refuses to change
// anything and to judge what it sees.
package observe
