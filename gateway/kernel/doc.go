// Package kernel is the daemon's only hand on netlink: routes through shared
// nexthop groups, the prefix-independent repair, the audit, and the watch on
// interfaces. It refuses policy: what it is given, it makes so.
package kernel
