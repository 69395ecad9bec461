// Package kernel is the daemon's only hand on netlink: routes through shared
// nexthop groups, the prefix-independent repair, the audit, and the watch on
// interfaces. It refuses policy: what it is given, it makes so.
//
// Every route points at a resilient nexthop group, and the group holds a
// backup as a member too small to get any traffic. So a failed next hop is
// taken out of all groups by deleting one object, whatever the number of
// routes, and when carrier is lost the kernel does the same by itself before
// this process is even scheduled. It needs Linux 5.13.
package kernel
