package kernel

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"gwlab/gateway/state"
)

// Dump is two texts under the headings "desired" and "kernel": what was asked
// for, and where the kernel sends packets now, by content and not by ids.
// A member in parentheses is a standby: it carries nothing yet. Bulk changes
// wait meanwhile; a repair does not, and may fall between the two texts.
func (n *Netlink) Dump() (string, error) {
	n.routeMu.Lock()
	defer n.routeMu.Unlock()
	kernel, err := n.kernelText()
	if err != nil {
		return "", fmt.Errorf("dump: %w", err)
	}
	want := state.State{Routes: map[netip.Prefix]state.Group{}, Down: n.Down()}
	for p, r := range n.routes {
		want.Routes[p] = r.group.want
	}
	return "desired\n" + want.String() + "kernel\n" + kernel, nil
}

// kernelText reads the kernel. The caller holds routeMu.
func (n *Netlink) kernelText() (string, error) {
	links, err := linksInKernel(n.bulk)
	if err != nil {
		return "", err
	}
	objects, err := n.nexthopsInKernel(n.bulk)
	if err != nil {
		return "", err
	}
	type line struct {
		routeKey
		group uint32
	}
	var lines []line
	err = n.routesInKernel(func() { lines = nil }, func(k routeKey, group uint32) { lines = append(lines, line{k, group}) })
	if err != nil {
		return "", err
	}
	slices.SortFunc(lines, func(a, b line) int { return state.ComparePrefix(a.prefix, b.prefix) })
	var b strings.Builder
	used := map[uint32]bool{}
	for _, l := range lines {
		used[l.group] = true
		fmt.Fprintf(&b, "route %s via %s\n", l.prefix, describe(l.group, objects, links))
	}
	for _, id := range slices.Sorted(maps.Keys(objects)) {
		if len(objects[id].members) > 0 && !used[id] {
			fmt.Fprintf(&b, "unused group %s\n", describe(id, objects, links))
		}
	}
	return b.String(), nil
}

// describe is the members of a group or the one next hop of an object.
func describe(id uint32, objects map[uint32]nexthop, links map[int]link) string {
	o, ok := objects[id]
	if !ok {
		return fmt.Sprintf("nothing of ours (nexthop %d)", id)
	}
	if len(o.members) == 0 {
		return state.NextHop{Addr: o.gateway, Interface: links[o.index].name}.String()
	}
	var active, standby []string
	for _, m := range o.members {
		text := describe(m.id, objects, links)
		if m.weight == standbyWeight && len(o.members) > 1 {
			standby = append(standby, "("+text+")")
		} else {
			active = append(active, text)
		}
	}
	slices.Sort(active)
	slices.Sort(standby)
	return strings.Join(append(active, standby...), " ")
}
