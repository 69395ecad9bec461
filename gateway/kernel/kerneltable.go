package kernel

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// dumpAttempts bounds how often a dump that raced with a change is repeated.
const dumpAttempts = 5

// routesInKernel hands every route of our protocol and table to each. The
// caller holds routeMu. begin is called before each attempt.
func (n *Netlink) routesInKernel(begin func(), each func(k routeKey, group uint32)) error {
	return again(func() error {
		begin()
		for _, fam := range []byte{unix.AF_INET, unix.AF_INET6} {
			var b batch
			b.dumpRoutes(fam, uint32(n.opt.Table), byte(n.opt.Protocol))
			err := n.bulk.dump(&b, func(typ uint16, payload []byte) {
				k, group, ok := parseRoute(payload)
				if ok && typ == unix.RTM_NEWROUTE && k.protocol == byte(n.opt.Protocol) && k.table == uint32(n.opt.Table) {
					each(k, group)
				}
			})
			// A table that never held a route does not exist.
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("read routes: %w", err)
			}
		}
		return nil
	})
}

// nexthopsInKernel returns the nexthop objects and groups of our protocol, by id.
func (n *Netlink) nexthopsInKernel(c *conn) (map[uint32]nexthop, error) {
	var found map[uint32]nexthop
	err := again(func() error {
		found = map[uint32]nexthop{}
		var b batch
		b.dumpNexthops()
		return c.dump(&b, func(typ uint16, payload []byte) {
			h, ok := parseNexthop(payload)
			if ok && typ == unix.RTM_NEWNEXTHOP && h.protocol == byte(n.opt.Protocol) {
				found[h.id] = h
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read nexthop objects: %w", err)
	}
	return found, nil
}

// linksInKernel returns the interfaces by index.
func linksInKernel(c *conn) (map[int]link, error) {
	var found map[int]link
	err := again(func() error {
		found = map[int]link{}
		var b batch
		b.getLinks("")
		return c.dump(&b, func(typ uint16, payload []byte) {
			if l, ok := parseLink(payload); ok && typ == unix.RTM_NEWLINK {
				found[l.index] = l
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read interfaces: %w", err)
	}
	return found, nil
}

func again(dump func() error) error {
	var err error
	for range dumpAttempts {
		if err = dump(); !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return err
}

// content identifies a group's members, whatever their order, in a form that
// the desired and the kernel's side share.
func content(members []member) string {
	w := make([]weighted, len(members))
	for i, m := range members {
		w[i] = weighted{m.hop.id, m.weight}
	}
	return contentOf(w)
}

func contentOf(members []weighted) string {
	sorted := slices.SortedFunc(slices.Values(members), func(a, b weighted) int {
		return int(int64(a.id) - int64(b.id))
	})
	return fmt.Sprint(sorted)
}

// sameContent is same for a kernel's group and what it was told.
func sameContent(kernel []weighted, told []member) bool {
	if len(kernel) == 1 && len(told) == 1 {
		return kernel[0].id == told[0].hop.id
	}
	return contentOf(kernel) == content(told)
}
