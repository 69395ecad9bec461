package kernel

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gwlab/gateway/state"
)

const (
	// Groups are resilient groups with a fixed number of buckets, for the
	// sake of the standby: a member of the smallest weight beside members of
	// the largest gets no bucket at all while any of them lives, yet keeps
	// the group alive. When carrier loss makes the kernel delete the last
	// primary's nexthop object, the standby inherits every bucket within the
	// kernel; without it the group would be deleted and its routes too.
	//
	// The smallest member's share is less than half a bucket, and therefore
	// none, as long as buckets / (256 × primaries + 1) < 1/2.
	groupBuckets  = 64
	activeWeight  = 255 // 256 shares: the wire carries one less
	standbyWeight = 0   // 1 share

	// tellRounds bounds how often groups are derived anew when the kernel
	// changes under our hands.
	tellRounds = 4
)

// hop is a next hop with its nexthop object.
type hop struct {
	state.NextHop
	id      uint32
	index   int  // of the link, when last told
	live    bool // the kernel has the object, as far as we know
	groups  map[*group]bool
	version uint64 // of the table, when last told
}

// member is a hop with its weight in a group (one less than its share).
type member struct {
	hop    *hop
	weight byte
}

// group is a desired group with its kernel nexthop group.
type group struct {
	id   uint32 // never changes
	want state.Group
	hops map[state.NextHop]*hop
	told []member // as last told to the kernel; empty: the kernel has no such group
	// present says that told is not empty, for those who do not hold mu.
	present atomic.Bool
	// lost: the kernel deleted the group, and all routes that pointed at it.
	lost    bool
	version uint64                // of the table, when last told
	routes  map[netip.Prefix]bool // guarded by Netlink.routeMu
}

// set notes what the kernel's group now holds.
func (g *group) set(members []member, version uint64) {
	g.told, g.version = members, version
	g.present.Store(len(members) > 0)
}

// groupTable holds hops and groups. Netlink.mu guards all of it.
type groupTable struct {
	fast     *conn
	protocol byte
	scratch  batch
	hops     map[state.NextHop]*hop
	groups   map[state.Key]*group
	down     map[state.NextHop]bool // by verdict of the caller
	blocked  map[state.NextHop]bool // by the kernel: no such link, or no carrier
	dead     map[state.NextHop]bool // down or blocked
	adopted  map[string]uint32      // ids of an earlier run's groups, by content
	holding  bool                   // between Adopt and Sweep: stale groups still need their objects
	ids      ids
	version  uint64
}

func newGroupTable(fast *conn, protocol byte) groupTable {
	t := groupTable{fast: fast, protocol: protocol}
	t.forget()
	return t
}

func (t *groupTable) forget() {
	t.hops = map[state.NextHop]*hop{}
	t.groups = map[state.Key]*group{}
	t.down = map[state.NextHop]bool{}
	t.blocked = map[state.NextHop]bool{}
	t.dead = map[state.NextHop]bool{}
	t.adopted = map[string]uint32{}
	t.ids = newIDs()
}

func (t *groupTable) markDown(h state.NextHop, down bool)    { t.mark(t.down, h, down) }
func (t *groupTable) markBlocked(h state.NextHop, down bool) { t.mark(t.blocked, h, down) }

func (t *groupTable) mark(set map[state.NextHop]bool, h state.NextHop, on bool) {
	if on {
		set[h], t.dead[h] = true, true
		return
	}
	delete(set, h)
	if !t.down[h] && !t.blocked[h] {
		delete(t.dead, h)
	}
}

// retry forgets what is believed about the object of h, so that the next
// tell makes it anew.
func (t *groupTable) retry(h state.NextHop) {
	t.markBlocked(h, false)
	if o := t.hops[h]; o != nil {
		o.live = false
	}
}

// using returns the groups with h among their primaries or backups.
func (t *groupTable) using(h state.NextHop) []*group {
	if o := t.hops[h]; o != nil {
		return slices.Collect(maps.Keys(o.groups))
	}
	return nil
}

// intern returns the group of that content, making it when it is new. A new
// group is not in the kernel yet unless an earlier run left one like it.
func (t *groupTable) intern(want state.Group) (*group, error) {
	want = want.Normalise()
	key := want.Key()
	if g := t.groups[key]; g != nil {
		return g, nil
	}
	g := &group{want: want, hops: map[state.NextHop]*hop{}, routes: map[netip.Prefix]bool{}}
	for _, h := range want.Hops() {
		o := t.hops[h]
		if o == nil {
			id, err := t.ids.take()
			if err != nil {
				return nil, err
			}
			o = &hop{NextHop: h, id: id, groups: map[*group]bool{}}
			t.hops[h] = o
		}
		g.hops[h] = o
	}
	members := t.members(g)
	if id, ok := t.adopted[content(members)]; ok && len(members) > 0 {
		delete(t.adopted, content(members))
		g.id = id
		g.set(members, t.version)
	} else {
		id, err := t.ids.take()
		if err != nil {
			return nil, err
		}
		g.id = id
	}
	for _, o := range g.hops {
		o.groups[g] = true
	}
	t.groups[key] = g
	return g, nil
}

// members derives what the kernel's group shall hold now, in a fixed order.
// It is empty when no next hop of the group has a link that works.
func (t *groupTable) members(g *group) []member {
	alive := t.unblocked(state.Members(g.want, t.dead))
	if len(alive) == 0 {
		alive = t.unblocked(g.want.Primary)
	}
	if len(alive) == 0 {
		alive = t.unblocked(g.want.Backup)
	}
	out := make([]member, 0, len(alive)+1)
	for _, h := range alive {
		out = append(out, member{g.hops[h], activeWeight})
	}
	if s, ok := t.standby(g, alive); ok {
		out = append(out, member{g.hops[s], standbyWeight})
	}
	return out
}

// standby is the first living backup over a link of its own.
func (t *groupTable) standby(g *group, alive []state.NextHop) (state.NextHop, bool) {
	for _, b := range g.want.Backup {
		apart := !slices.ContainsFunc(alive, func(h state.NextHop) bool { return h.Interface == b.Interface })
		if !t.dead[b] && apart && len(alive) > 0 {
			return b, true
		}
	}
	return state.NextHop{}, false
}

func (t *groupTable) unblocked(hops []state.NextHop) []state.NextHop {
	out := make([]state.NextHop, 0, len(hops))
	for _, h := range hops {
		if !t.blocked[h] {
			out = append(out, h)
		}
	}
	return out
}

// linkByName asks the kernel. It is on the way of new objects only, never of
// a repair that takes a member out.
func (t *groupTable) linkByName(name string) (link, error) {
	var b batch
	b.getLinks(name)
	var found link
	err := t.fast.dump(&b, func(typ uint16, payload []byte) {
		if typ == unix.RTM_NEWLINK {
			found, _ = parseLink(payload)
		}
	})
	if err != nil {
		return link{}, fmt.Errorf("find interface %s: %w", name, err)
	}
	return found, nil
}

// collect deletes groups without routes and then objects without groups.
// The caller holds routeMu too.
func (t *groupTable) collect() error {
	t.scratch.reset()
	for key, g := range t.groups {
		if len(g.routes) > 0 {
			continue
		}
		if g.told != nil {
			t.scratch.delNexthop(g.id)
		}
		t.ids.free(g.id)
		delete(t.groups, key)
		for _, h := range g.hops {
			delete(h.groups, g)
		}
	}
	for key, h := range t.hops {
		if len(h.groups) > 0 || t.holding {
			continue
		}
		t.scratch.delNexthop(h.id)
		t.ids.free(h.id)
		delete(t.hops, key)
		t.markBlocked(key, false)
	}
	_, err := t.fast.exec(&t.scratch) // a refusal means that it is gone already
	return err
}

func firstOf(refused map[int]*kernelError) error {
	if len(refused) == 0 {
		return unix.EAGAIN
	}
	return refused[slices.Min(slices.Collect(maps.Keys(refused)))]
}
