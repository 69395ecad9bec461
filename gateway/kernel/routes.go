package kernel

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/gateway/state"
)

// Update sets and deletes routes, the shortest prefixes first, in chunks, and
// brings back the routes that the kernel lost together with their group. A
// route whose next hops all lack a working link is kept as desired state and
// programmed once Restore finds a link.
func (n *Netlink) Update(set map[netip.Prefix]state.Group, del []netip.Prefix) (Applied, error) {
	start := time.Now()
	u := update{n: n, set: set, groups: map[groupRef]*group{}}
	err := u.run(byLength(maps.Keys(set), len(set)), del)
	u.applied.Took = time.Since(start)
	if err != nil {
		return u.applied, fmt.Errorf("update routes: %w", err)
	}
	return u.applied, nil
}

// update is one call of Update.
type update struct {
	n       *Netlink
	set     map[netip.Prefix]state.Group
	groups  map[groupRef]*group
	applied Applied
}

func (u *update) run(set, del []netip.Prefix) error {
	for chunk := range slices.Chunk(set, chunkRoutes) {
		if err := u.chunk(chunk, u.assign); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(del, chunkRoutes) {
		if err := u.chunk(chunk, u.drop); err != nil {
			return err
		}
	}
	if err := u.n.bringBack(&u.applied); err != nil {
		return err
	}
	u.n.routeMu.Lock()
	defer u.n.routeMu.Unlock()
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	return u.n.collect()
}

// chunk lets prepare change the desired state and makes the kernel follow.
func (u *update) chunk(prefixes []netip.Prefix, prepare func([]netip.Prefix) error) error {
	n := u.n
	if err := n.bringBack(&u.applied); err != nil {
		return err
	}
	n.routeMu.Lock()
	defer n.routeMu.Unlock()
	if err := prepare(prefixes); err != nil {
		return err
	}
	return n.program(prefixes, &u.applied)
}

// assign makes the chunk's routes desired, with their groups in the kernel.
func (u *update) assign(prefixes []netip.Prefix) error {
	n := u.n
	if err := u.prepare(prefixes); err != nil {
		return err
	}
	for _, p := range prefixes {
		g := u.groups[ref(u.set[p])]
		r := n.routes[p]
		if r == nil {
			r = &route{told: n.stale[p]}
			delete(n.stale, p)
			n.routes[p] = r
		} else {
			delete(r.group.routes, p)
		}
		r.group = g
		g.routes[p] = true
	}
	return nil
}

// prepare makes the groups that this update meets for the first time. It
// takes mu for them alone: most chunks bring none.
func (u *update) prepare(prefixes []netip.Prefix) error {
	var unknown []state.Group
	for _, p := range prefixes {
		if _, ok := u.groups[ref(u.set[p])]; !ok {
			u.groups[ref(u.set[p])] = nil
			unknown = append(unknown, u.set[p])
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	var fresh []*group
	for _, want := range unknown {
		g, err := u.n.intern(want)
		if err != nil {
			return err
		}
		u.groups[ref(want)] = g
		if g.told == nil {
			fresh = append(fresh, g)
		}
	}
	applied, err := u.n.tell(fresh, false)
	u.applied.Groups += applied.Groups
	u.applied.NextHops += applied.NextHops
	return err
}

// drop makes the chunk's routes undesired. Their entries turn stale: what the
// kernel still has of them is deleted by program.
func (u *update) drop(prefixes []netip.Prefix) error {
	for _, p := range prefixes {
		if r := u.n.routes[p]; r != nil {
			delete(r.group.routes, p)
			delete(u.n.routes, p)
			delete(u.n.missing, p)
			u.n.stale[p] = r.told
		}
	}
	return nil
}

// groupRef identifies a Group by its slices: routes that came together share
// them, and telling that is far cheaper than comparing contents.
type groupRef struct {
	primary, backup    *state.NextHop
	primaries, backups int
}

func ref(want state.Group) groupRef {
	r := groupRef{primaries: len(want.Primary), backups: len(want.Backup)}
	if r.primaries > 0 {
		r.primary = &want.Primary[0]
	}
	if r.backups > 0 {
		r.backup = &want.Backup[0]
	}
	return r
}

// program makes the kernel's routes for these prefixes what they shall be:
// the desired group for a desired route, no route for a stale one. What is
// refused because its group vanished is tried once more with the group told
// anew, and is otherwise kept as missing. The caller holds routeMu.
func (n *Netlink) program(prefixes []netip.Prefix, applied *Applied) error {
	refused, err := n.send(prefixes, applied)
	if err != nil || len(refused) == 0 {
		return err
	}
	n.mu.Lock()
	var groups []*group
	for _, p := range refused {
		if r := n.routes[p]; r != nil {
			groups = append(groups, r.group)
		}
	}
	moved, err := n.tell(groups, true)
	n.mu.Unlock()
	applied.Groups += moved.Groups
	if err != nil {
		return err
	}
	if refused, err = n.send(refused, applied); err != nil {
		return err
	}
	for _, p := range refused {
		n.missing[p] = true
	}
	return nil
}

// send sends one batch and returns the prefixes whose message was refused.
func (n *Netlink) send(prefixes []netip.Prefix, applied *Applied) ([]netip.Prefix, error) {
	var b batch
	sent := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if n.message(&b, p) {
			sent = append(sent, p)
		}
	}
	n.giveWay()
	failed, err := n.bulk.exec(&b)
	if err != nil {
		return nil, err
	}
	applied.Routes += len(sent) - len(failed)
	var refused []netip.Prefix
	for i, p := range sent {
		r, e := n.routes[p], failed[i]
		if e != nil && errors.Is(e, unix.ESRCH) && (r == nil || r.told == 0) {
			e = nil // deleted already
		}
		switch {
		case r == nil && e != nil:
			return nil, fmt.Errorf("delete route %s: %w", p, e)
		case r == nil:
			delete(n.stale, p)
		case e != nil:
			r.told = 0
			refused = append(refused, p)
		default:
			delete(n.missing, p)
		}
	}
	return refused, nil
}

// message adds what the kernel must be told about p, if anything.
func (n *Netlink) message(b *batch, p netip.Prefix) bool {
	r := n.routes[p]
	want := uint32(0)
	if r != nil && r.group.present.Load() {
		want = r.group.id
	}
	switch {
	case r == nil: // stale, to be deleted
		if n.stale[p] == 0 {
			delete(n.stale, p)
			return false
		}
		b.delRoute(n.key(p))
	case r.told == want:
		return false
	case want == 0: // no next hop has a link
		b.delRoute(n.key(p))
		r.told = 0
	default:
		b.addRoute(n.key(p), want)
		r.told = want
	}
	return true
}

func (n *Netlink) key(p netip.Prefix) routeKey {
	return routeKey{p, uint32(n.opt.Table), uint32(n.opt.Metric), byte(n.opt.Protocol)}
}

// bringBack programs the routes that are missing: those of groups which the
// kernel deleted and which exist again, and those it refused before.
func (n *Netlink) bringBack(applied *Applied) error {
	n.routeMu.Lock()
	back := n.takeMissing()
	n.routeMu.Unlock()
	for chunk := range slices.Chunk(back, chunkRoutes) {
		n.routeMu.Lock()
		err := n.program(chunk, applied)
		n.routeMu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// takeMissing returns the routes to bring back, the shortest first, and notes
// that the kernel has none of them. The caller holds routeMu.
func (n *Netlink) takeMissing() []netip.Prefix {
	n.mu.Lock()
	var lost []*group
	for _, g := range n.groups {
		if g.lost && g.told != nil {
			g.lost = false
			lost = append(lost, g)
		}
	}
	n.mu.Unlock()
	if len(lost)+len(n.missing) == 0 {
		return nil
	}
	var back []netip.Prefix
	for _, g := range lost {
		for p := range g.routes {
			if r := n.routes[p]; r.told == g.id {
				r.told = 0
			}
			delete(n.missing, p)
			back = append(back, p)
		}
	}
	for p := range n.missing {
		n.routes[p].told = 0
		back = append(back, p)
	}
	clear(n.missing)
	return byLength(slices.Values(back), len(back))
}
