package lab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"gwlab/lab/netns"
)

// forget removes from a namespace what a machine loses with its power:
// routes, nexthop objects and neighbours, but not the addresses. The ports
// must be down already: the kernel has dropped most of it then.
func forget(path string) error {
	return netns.Do(path, func() error {
		if err := flushNexthops(); err != nil {
			return err
		}
		if err := flushRoutes(); err != nil {
			return err
		}
		return flushNeighbours()
	})
}

// missing says that something ended by itself before it could be removed.
func missing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}

// flushNexthops removes nexthop objects, and with each the routes through it.
func flushNexthops() error {
	dump := nl.NewNetlinkRequest(unix.RTM_GETNEXTHOP, unix.NLM_F_DUMP)
	dump.AddData(&nhmsg{})
	found, err := dump.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEXTHOP)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list nexthops: %w", err)
	}
	for _, m := range found {
		if len(m) < sizeofNhmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m[sizeofNhmsg:])
		if err != nil {
			return fmt.Errorf("list nexthops: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type != unix.NHA_ID {
				continue
			}
			del := nl.NewNetlinkRequest(unix.RTM_DELNEXTHOP, unix.NLM_F_ACK)
			del.AddData(&nhmsg{})
			del.AddData(nl.NewRtAttr(unix.NHA_ID, a.Value))
			if _, err := del.Execute(unix.NETLINK_ROUTE, 0); err != nil && !missing(err) {
				return fmt.Errorf("remove nexthop %d: %w", binary.NativeEndian.Uint32(a.Value), err)
			}
		}
	}
	return nil
}

// nhmsg is an empty struct nhmsg of linux/nexthop.h.
type nhmsg struct{}

const sizeofNhmsg = 8

func (*nhmsg) Len() int          { return sizeofNhmsg }
func (*nhmsg) Serialize() []byte { return make([]byte, sizeofNhmsg) }

// flushRoutes removes the routes of every table that the kernel did not make
// by itself for an address.
func flushRoutes() error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		all, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
		for _, r := range all {
			if r.Protocol == unix.RTPROT_KERNEL {
				continue
			}
			if err := netlink.RouteDel(&r); err != nil && !missing(err) {
				return fmt.Errorf("remove route %v: %w", r.Dst, err)
			}
		}
	}
	return nil
}

func flushNeighbours() error {
	all, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	for _, n := range all {
		if n.State&(netlink.NUD_NOARP) != 0 {
			continue
		}
		if err := netlink.NeighDel(&n); err != nil && !missing(err) {
			return fmt.Errorf("remove neighbour %v: %w", n.IP, err)
		}
	}
	return nil
}
