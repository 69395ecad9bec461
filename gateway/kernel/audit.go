package kernel

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"gwlab/gateway/state"
)

// Audit compares the kernel with the desired state and mends what differs:
// objects and groups changed or gone, routes missing or pointing elsewhere,
// and strangers under our protocol number. It says what it mended, one line
// each, sorted. Changes made by Fail and Restore meanwhile are not faults.
func (n *Netlink) Audit() ([]string, error) {
	n.routeMu.Lock()
	defer n.routeMu.Unlock()
	n.audits++
	groups, err := n.auditGroups()
	if err != nil {
		return groups, fmt.Errorf("audit groups: %w", err)
	}
	routes, err := n.auditRoutes()
	if err != nil {
		return append(groups, routes...), fmt.Errorf("audit routes: %w", err)
	}
	return append(groups, routes...), nil
}

// auditGroups mends hops and groups. The caller holds routeMu.
func (n *Netlink) auditGroups() ([]string, error) {
	n.mu.Lock()
	before := n.version
	n.mu.Unlock()
	objects, err := n.nexthopsInKernel(n.bulk)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	mended, groups := n.differing(objects, before)
	ours := n.known()
	strangers := map[uint32]nexthop{}
	for id, o := range objects {
		if !ours[id] && !n.holding {
			strangers[id] = o
			mended = append(mended, fmt.Sprintf("nexthop %d: not ours, removed", id))
		}
	}
	if err := n.removeObjects(strangers); err != nil {
		return mended, err
	}
	_, err = n.tell(groups, true)
	slices.Sort(mended)
	return mended, err
}

// differing finds what the kernel has otherwise than told, and the groups
// that must be told again because of it. Blocked hops are given another try.
func (t *groupTable) differing(objects map[uint32]nexthop, before uint64) (mended []string, groups []*group) {
	for _, h := range t.hops {
		o, ok := objects[h.id]
		switch {
		case h.version > before:
			continue
		case h.live && !ok && t.lostCarrier(h.Interface): // no fault, only not told yet
			groups = append(groups, t.over(h.Interface)...)
			continue
		case !h.live && ok && !t.blocked[h.NextHop] && o.gateway == h.Addr:
			h.live, h.index = true, o.index // nobody needed it since it was doubted
			continue
		case !h.live:
			if t.blocked[h.NextHop] && t.unblock(h) {
				groups = append(groups, slices.Collect(maps.Keys(h.groups))...)
			}
			continue
		case !ok:
			mended = append(mended, fmt.Sprintf("nexthop %s: missing", h.NextHop))
		case o.gateway != h.Addr || o.index != h.index:
			mended = append(mended, fmt.Sprintf("nexthop %s: was replaced", h.NextHop))
		default:
			continue
		}
		h.live = false
		groups = append(groups, slices.Collect(maps.Keys(h.groups))...)
	}
	for _, g := range t.groups {
		o, ok := objects[g.id]
		switch {
		case g.told == nil || g.version > before:
			continue
		case !ok:
			mended = append(mended, fmt.Sprintf("group %s: missing", g.want))
			t.markLost(g)
		case !sameContent(o.members, g.told):
			mended = append(mended, fmt.Sprintf("group %s: was changed", g.want))
		default:
			continue
		}
		groups = append(groups, g)
	}
	return mended, groups
}

// unblock tells whether the link of a blocked hop works again.
func (t *groupTable) unblock(h *hop) bool {
	l, err := t.linkByName(h.Interface)
	if err != nil || !l.up {
		return false
	}
	t.markBlocked(h.NextHop, false)
	return true
}

// auditRoutes mends routes. The caller holds routeMu.
func (n *Netlink) auditRoutes() ([]string, error) {
	n.mu.Lock()
	for _, g := range n.groups { // what they lost is about to be seen
		g.lost = g.lost && g.told == nil
	}
	n.mu.Unlock()
	var mended []string
	var wrong []netip.Prefix
	var strangers []routeKey
	found := 0
	note := func(p fmt.Stringer, what string) { mended = append(mended, fmt.Sprintf("route %s: %s", p, what)) }
	err := n.routesInKernel(func() { mended, wrong, strangers, found = nil, nil, nil, 0 }, func(k routeKey, group uint32) {
		r := n.routes[k.prefix]
		_, stale := n.stale[k.prefix]
		switch {
		case k != n.key(k.prefix) || (r == nil && !stale):
			strangers = append(strangers, k)
			note(k.prefix, "not ours, removed")
		case r == nil:
		case group != r.group.id:
			r.seen, r.told = n.audits, group
			wrong = append(wrong, k.prefix)
			note(k.prefix, "pointed elsewhere")
		default:
			r.seen, r.told = n.audits, group
			found++
		}
	})
	if err != nil {
		return nil, err
	}
	if found < len(n.routes) {
		missing := n.unseen()
		for _, p := range missing {
			note(p, "missing")
		}
		wrong = append(wrong, missing...)
	}
	if err := n.removeRoutes(strangers); err != nil {
		return mended, err
	}
	slices.Sort(mended)
	var applied Applied
	for chunk := range slices.Chunk(wrong, chunkRoutes) {
		if err := n.program(chunk, &applied); err != nil {
			return mended, err
		}
	}
	return mended, nil
}

// unseen returns the routes that the kernel should have and has not.
func (n *Netlink) unseen() []netip.Prefix {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []netip.Prefix
	for p, r := range n.routes {
		if r.seen == n.audits {
			continue
		}
		r.told = 0
		if r.group.told != nil {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, state.ComparePrefix)
	return out
}
