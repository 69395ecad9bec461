package kernel

import (
	"fmt"
	"maps"
	"slices"

	"gwlab/gateway/state"
)

// Adopt reads the routes, groups and objects of our protocol that an earlier
// run left. Next hops keep their ids; a desired group whose content equals
// an adopted one takes over its id, and then its routes need no message at
// all. What nobody claims stays, forwarding, until Sweep.
func (n *Netlink) Adopt() error {
	n.routeMu.Lock()
	defer n.routeMu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	links, err := linksInKernel(n.bulk)
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	objects, err := n.nexthopsInKernel(n.bulk)
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	err = n.routesInKernel(func() { clear(n.stale) }, func(k routeKey, group uint32) {
		if n.routes[k.prefix] == nil && k == n.key(k.prefix) {
			n.stale[k.prefix] = group
		}
	})
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	n.adopt(objects, links)
	return nil
}

// adopt takes over ids: of objects at once, of groups when they are wanted.
func (t *groupTable) adopt(objects map[uint32]nexthop, links map[int]link) {
	t.holding = true
	for id, o := range objects {
		if id < firstID || id > lastID {
			continue
		}
		t.ids.claim(id)
		if len(o.members) > 0 {
			if o.kind == groupTypeRes && o.buckets == groupBuckets {
				t.adopted[contentOf(o.members)] = id
			}
			continue
		}
		h := state.NextHop{Addr: o.gateway, Interface: links[o.index].name}
		if t.hops[h] == nil && h.Interface != "" {
			t.hops[h] = &hop{NextHop: h, id: id, index: o.index, live: true, groups: map[*group]bool{}}
		}
	}
}

// Sweep removes adopted routes that nobody claimed, then the groups and
// objects that only they used. It returns the number of routes.
func (n *Netlink) Sweep() (int, error) {
	var swept Applied
	n.routeMu.Lock()
	prefixes := slices.SortedFunc(maps.Keys(n.stale), state.ComparePrefix)
	n.routeMu.Unlock()
	for chunk := range slices.Chunk(prefixes, chunkRoutes) {
		n.routeMu.Lock()
		err := n.program(chunk, &swept)
		n.routeMu.Unlock()
		if err != nil {
			return swept.Routes, fmt.Errorf("sweep stale routes: %w", err)
		}
	}
	n.routeMu.Lock()
	defer n.routeMu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holding = false
	if err := n.removeUnclaimed(); err != nil {
		return swept.Routes, fmt.Errorf("sweep stale nexthop objects: %w", err)
	}
	if err := n.collect(); err != nil {
		return swept.Routes, fmt.Errorf("sweep stale nexthop objects: %w", err)
	}
	return swept.Routes, nil
}

// removeUnclaimed deletes what carries our protocol and is none of the
// table's: groups first, so that no group shrinks on the way.
func (n *Netlink) removeUnclaimed() error {
	objects, err := n.nexthopsInKernel(n.fast)
	if err != nil {
		return err
	}
	ours := n.known()
	maps.DeleteFunc(objects, func(id uint32, _ nexthop) bool { return ours[id] })
	clear(n.adopted)
	return n.removeObjects(objects)
}

// known returns the ids in the table's own use.
func (t *groupTable) known() map[uint32]bool {
	ids := map[uint32]bool{}
	for _, g := range t.groups {
		ids[g.id] = true
	}
	for _, h := range t.hops {
		ids[h.id] = true
	}
	return ids
}

func (t *groupTable) removeObjects(objects map[uint32]nexthop) error {
	t.scratch.reset()
	for _, groups := range []bool{true, false} {
		for id, o := range objects {
			if len(o.members) > 0 == groups {
				t.scratch.delNexthop(id)
				t.ids.free(id)
			}
		}
	}
	_, err := t.fast.exec(&t.scratch) // a refusal means that it is gone already
	return err
}

// CleanUp removes every route and nexthop object of our protocol, of this run
// and of any other, and forgets the desired state.
func (n *Netlink) CleanUp() error {
	n.routeMu.Lock()
	defer n.routeMu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	objects, err := n.nexthopsInKernel(n.fast)
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	if err := n.removeObjects(objects); err != nil { // most routes go with their group
		return fmt.Errorf("clean up: %w", err)
	}
	var left []routeKey
	err = n.routesInKernel(func() { left = nil }, func(k routeKey, _ uint32) { left = append(left, k) })
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	if err := n.removeRoutes(left); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	n.forgetRoutes()
	n.forget()
	return nil
}

// removeRoutes deletes routes by their full key. The caller holds routeMu.
func (n *Netlink) removeRoutes(keys []routeKey) error {
	for chunk := range slices.Chunk(keys, chunkRoutes) {
		var b batch
		for _, k := range chunk {
			b.delRoute(k)
		}
		if _, err := n.bulk.exec(&b); err != nil {
			return fmt.Errorf("delete routes: %w", err)
		}
	}
	return nil
}

// Stale returns how many adopted routes wait for Sweep.
func (n *Netlink) Stale() int {
	n.routeMu.Lock()
	defer n.routeMu.Unlock()
	return len(n.stale)
}
