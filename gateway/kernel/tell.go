package kernel

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"gwlab/gateway/state"
)

// fail takes h out of every group by deleting its nexthop object: the kernel
// then takes it out of each group by itself, exactly as on carrier loss, and
// the standby takes over where it was the last primary. That is one message
// whatever the number of groups, and unlike replacing a group its cost does
// not grow with the routes behind it (IPv6 walks them all on a replace).
//
// A group that would be left empty is told its new members beforehand. If h
// stays in one as the last resort, the object lives on there under a new id.
func (t *groupTable) fail(h state.NextHop) (Applied, error) {
	t.markDown(h, true)
	o := t.hops[h]
	if o == nil || !o.live {
		return t.tell(t.using(h), false)
	}
	first, rest, stays := t.split(o)
	applied, err := t.takeOut(o, first, rest, stays)
	applied.Groups = max(applied.Groups, len(first)+len(rest)) // some by the kernel itself
	return applied, err
}

// takeOut takes o out of the rest, and out of first unless it stays there.
func (t *groupTable) takeOut(o *hop, first, rest []*group, stays bool) (Applied, error) {
	// A link that is gone cannot be a last resort; and an object that no group
	// holds is left alone, for groups of an earlier run may.
	if (stays || len(first)+len(rest) == 0) && t.lostCarrier(o.Interface) {
		return t.tell(t.over(o.Interface), false)
	}
	if stays && len(rest) == 0 || len(first)+len(rest) == 0 {
		return t.tell(first, false)
	}
	id := o.id
	if stays {
		if err := t.renew(o); err != nil {
			return Applied{}, err
		}
	}
	applied, err := t.tell(first, true)
	if err != nil {
		return applied, err
	}
	if !stays && slices.ContainsFunc(first, func(g *group) bool { return holds(g.told, o) }) {
		// Telling them found the others without a link: h is needed after all.
		moved, err := t.tell(rest, false)
		applied.Groups += moved.Groups
		return applied, err
	}
	shrunk, err := t.shrink(o, id, rest)
	applied.Groups += shrunk.Groups
	return applied, err
}

// split sorts the groups that hold o now: those to be told new members before
// its object may go, and the rest. It stays if one of them has nothing better.
func (t *groupTable) split(o *hop) (first, rest []*group, stays bool) {
	for g := range o.groups {
		if !holds(g.told, o) {
			continue
		}
		keep := holds(t.members(g), o)
		stays = stays || keep
		if keep || len(g.told) == 1 {
			first = append(first, g)
		} else {
			rest = append(rest, g)
		}
	}
	return first, rest, stays
}

// renew gives the hop another object, to be made by the next tell.
func (t *groupTable) renew(o *hop) error {
	id, err := t.ids.take()
	if err != nil {
		return err
	}
	o.id, o.live = id, false
	return nil
}

// shrink deletes the object id of hop o, which takes it out of groups.
func (t *groupTable) shrink(o *hop, id uint32, groups []*group) (Applied, error) {
	t.version++
	t.scratch.reset()
	t.scratch.delNexthop(id)
	refused, err := t.fast.exec(&t.scratch)
	if err != nil {
		return Applied{}, err
	}
	o.version = t.version
	if o.id == id {
		o.live = false
	} else {
		t.ids.free(id)
	}
	for _, g := range groups {
		t.without(g, o)
	}
	concerned := groups
	if len(refused) > 0 && t.lostCarrier(o.Interface) {
		concerned = t.over(o.Interface) // the kernel did it, to all of the link
	}
	return t.tell(concerned, false)
}

// without notes that the kernel took o out of the group. The last member
// takes the group with it.
func (t *groupTable) without(g *group, o *hop) {
	left := slices.DeleteFunc(slices.Clone(g.told), func(m member) bool { return m.hop == o })
	if len(left) == 0 {
		t.markLost(g)
		return
	}
	g.set(left, t.version)
}

// lostCarrier tells whether the link is down or gone. If so, it notes what
// the kernel has done to the objects over it and their groups.
func (t *groupTable) lostCarrier(name string) bool {
	if l, err := t.linkByName(name); err == nil && l.up {
		return false
	}
	t.version++
	for _, o := range t.hops {
		if o.Interface != name {
			continue
		}
		o.live, o.version = false, t.version
		t.markBlocked(o.NextHop, true)
		for g := range o.groups {
			if holds(g.told, o) {
				t.without(g, o)
			}
		}
	}
	return true
}

// over returns the groups with a next hop over the link.
func (t *groupTable) over(name string) []*group {
	var out []*group
	for _, o := range t.hops {
		if o.Interface == name {
			out = append(out, t.using(o.NextHop)...)
		}
	}
	return out
}

func holds(members []member, o *hop) bool {
	return slices.ContainsFunc(members, func(m member) bool { return m.hop == o })
}

// same tells whether both member lists send packets to the same places.
func same(a, b []member) bool {
	if len(a) == 1 && len(b) == 1 {
		return a[0].hop == b[0].hop // alone, any weight is all of it
	}
	return slices.Equal(a, b)
}

// tell makes the kernel's groups what they shall be, all in one system call
// if nothing goes wrong; groups that are right already are left alone unless
// all is set. What the kernel refuses because it changed meanwhile is derived
// anew.
func (t *groupTable) tell(groups []*group, all bool) (Applied, error) {
	var applied Applied
	t.version++
	for round := 0; ; round++ {
		t.scratch.reset()
		sent := t.compose(groups, all)
		refused, err := t.fast.exec(&t.scratch)
		if err != nil {
			return applied, err
		}
		applied.NextHops += sent.settleHops(t, refused)
		again := sent.settleGroups(t, refused)
		applied.Groups += len(sent.groups) - len(again)
		if len(again) == 0 {
			return applied, nil
		}
		if round == tellRounds {
			return applied, fmt.Errorf("program %d groups: %w", len(again), firstOf(refused))
		}
		groups, all = again, true
	}
}

// sent is what one batch of tell carries, in its order: hops, then groups.
type sent struct {
	hops    []*hop
	groups  []*group
	members [][]member
}

func (t *groupTable) compose(groups []*group, all bool) sent {
	var s sent
	seen := map[*group]bool{}
	for _, g := range groups {
		if seen[g] || (!all && g.told != nil && same(t.members(g), g.told)) {
			continue
		}
		seen[g] = true
		m := t.members(g)
		for !t.ready(m, &s) {
			m = t.members(g)
		}
		if len(m) == 0 {
			t.markLost(g)
			continue
		}
		s.groups, s.members = append(s.groups, g), append(s.members, m)
	}
	for i, g := range s.groups {
		flags := uint16(create)
		if g.told != nil {
			flags = replace // refused if the kernel deleted it: then its routes are gone too
		}
		t.scratch.addGroup(flags, g.id, s.members[i], t.protocol)
	}
	return s
}

// ready adds the nexthop objects that the members still need to the batch.
// It returns false when a link cannot carry one: the members must be derived
// again, without those now blocked.
func (t *groupTable) ready(members []member, s *sent) bool {
	ok := true
	for _, m := range members {
		h := m.hop
		if h.live || slices.Contains(s.hops, h) {
			continue
		}
		l, err := t.linkByName(h.Interface)
		if err != nil || !l.up {
			t.markBlocked(h.NextHop, true)
			ok = false
			continue
		}
		h.index = l.index
		t.scratch.addHop(h.id, h.Addr, h.index, t.protocol)
		s.hops = append(s.hops, h)
	}
	return ok
}

// settleHops notes which objects the kernel took; it returns how many.
func (s sent) settleHops(t *groupTable, refused map[int]*kernelError) int {
	taken := 0
	for i, h := range s.hops {
		h.live, h.version = refused[i] == nil, t.version
		if h.live {
			taken++
		}
		t.markBlocked(h.NextHop, !h.live)
	}
	return taken
}

// settleGroups notes which groups the kernel took and returns the others.
func (s sent) settleGroups(t *groupTable, refused map[int]*kernelError) (again []*group) {
	for i, g := range s.groups {
		switch e := refused[len(s.hops)+i]; {
		case e == nil:
			g.set(s.members[i], t.version)
		case errors.Is(e, unix.ENOENT):
			t.markLost(g)
			again = append(again, g)
		default: // a member is gone: make all of them anew
			for _, m := range s.members[i] {
				m.hop.live = false
			}
			again = append(again, g)
		}
	}
	return again
}

// markLost notes that the kernel has neither the group nor its routes.
func (t *groupTable) markLost(g *group) {
	g.lost = true
	g.set(nil, t.version)
}
