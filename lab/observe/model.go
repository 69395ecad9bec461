package observe

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// model is what is known of one node's links and next hop objects: enough to
// put names to what messages say by number.
type model struct {
	links    map[int]link
	nexthops map[uint32]nexthop
}

func newModel() *model {
	return &model{links: map[int]link{}, nexthops: map[uint32]nexthop{}}
}

// change is an event without its instant and node.
type change struct {
	kind, key string
	data      map[string]string
}

func (l link) running() bool { return l.flags&unix.IFF_RUNNING != 0 }

// setLink takes in a link's state and says whether it went up or down. What
// is not running when it first appears has not gone down.
func (m *model) setLink(l link) (change, bool) {
	before := m.links[l.index]
	m.links[l.index] = l
	if l.flags&unix.IFF_LOOPBACK != 0 || before.running() == l.running() {
		return change{}, false
	}
	return linkChange(l), true
}

// deleteLink takes in that a link is gone.
func (m *model) deleteLink(index int) (change, bool) {
	l, known := m.links[index]
	delete(m.links, index)
	if !known || !l.running() {
		return change{}, false
	}
	return change{"link.down", l.name, map[string]string{"reason": "deleted"}}, true
}

func linkChange(l link) change {
	if l.running() {
		return change{kind: "link.up", key: l.name}
	}
	reason := "carrier"
	if l.flags&unix.IFF_UP == 0 {
		reason = "admin"
	}
	return change{"link.down", l.name, map[string]string{"reason": reason}}
}

// setNexthop takes in a next hop object or group.
func (m *model) setNexthop(n nexthop) change {
	m.nexthops[n.id] = n
	return m.nexthopChange(n)
}

func (m *model) nexthopChange(n nexthop) change {
	active, standby := m.resolve(n)
	data := map[string]string{"via": m.describe(active)}
	m.addStandby(data, standby)
	return change{"nexthop.change", id(n.id), data}
}

// addStandby tells of hops that carry nothing as yet, if there are any.
func (m *model) addStandby(data map[string]string, hops []hop) {
	if len(hops) > 0 {
		data["standby"] = m.describe(hops)
	}
}

func (m *model) deleteNexthop(n nexthop) change {
	delete(m.nexthops, n.id)
	return change{kind: "nexthop.delete", key: id(n.id)}
}

// replaceNexthops takes in a full list and returns what differs from what was
// known: the kernel drops next hops of a dead link, and shrinks their groups,
// without a message.
func (m *model) replaceNexthops(list []nexthop) []change {
	var out []change
	now := map[uint32]nexthop{}
	for _, n := range list {
		now[n.id] = n
	}
	before := m.nexthops
	m.nexthops = now
	for _, key := range sorted(before) {
		if _, kept := now[key]; !kept {
			out = append(out, change{"nexthop.delete", id(key), map[string]string{"cause": "link"}})
		}
	}
	for _, key := range sorted(now) {
		n, was := now[key], before[key]
		if n.hop != was.hop || n.blackhole != was.blackhole || !slices.Equal(n.group, was.group) || n.buckets != was.buckets {
			c := m.nexthopChange(n)
			c.data["cause"] = "link"
			out = append(out, c)
		}
	}
	return out
}

// resolve returns the hops behind a next hop object: those that carry traffic
// and those that stand by. Members that are gone carry nothing.
func (m *model) resolve(n nexthop) (active, standby []hop) {
	if len(n.group) == 0 {
		if n.blackhole || n.hop.oif == 0 {
			return nil, nil
		}
		return []hop{n.hop}, nil
	}
	present := slices.DeleteFunc(slices.Clone(n.group), func(g member) bool {
		_, known := m.nexthops[g.id]
		return !known
	})
	idle := idle(n.buckets, present)
	for i, g := range present {
		one := m.nexthops[g.id]
		if len(one.group) > 0 {
			continue // a group has no groups in it
		}
		hops, _ := m.resolve(one)
		if idle[i] {
			standby = append(standby, hops...)
		} else {
			active = append(active, hops...)
		}
	}
	return active, standby
}

// idle tells which members of a group are left without a bucket. The kernel
// deals buckets out in proportion to the weights, each member up to the
// rounded share of all members so far (nh_res_group_rebalance), so that a
// member of little weight may get none. A group without buckets uses all.
func idle(buckets int, group []member) []bool {
	out := make([]bool, len(group))
	if buckets == 0 {
		return out
	}
	total := 0
	for _, g := range group {
		total += g.weight
	}
	before, sum := 0, 0
	for i, g := range group {
		sum += g.weight
		upper := (buckets*sum + total/2) / total
		out[i] = upper == before
		before = upper
	}
	return out
}

// hops returns the ways on of a route that the kernel uses, and those that
// stand by.
func (m *model) hops(r route) (active, standby []hop) {
	active = r.hops
	if r.next != 0 {
		if n, known := m.nexthops[r.next]; known {
			active, standby = m.resolve(n)
		}
	}
	dead := func(h hop) bool { return h.dead }
	return slices.DeleteFunc(slices.Clone(active), dead), slices.DeleteFunc(standby, dead)
}

// describe writes hops as "198.18.0.2 dev isp1", sorted.
func (m *model) describe(hops []hop) string {
	var list []string
	for _, h := range hops {
		text := "dev " + m.name(h.oif)
		if h.gateway.IsValid() {
			text = h.gateway.String() + " " + text
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

// interfaces writes the interfaces of hops, each once, sorted.
func (m *model) interfaces(hops []hop) string {
	var list []string
	for _, h := range hops {
		list = append(list, m.name(h.oif))
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ",")
}

func (m *model) name(index int) string {
	if l, ok := m.links[index]; ok {
		return l.name
	}
	return strconv.Itoa(index)
}

// routeChange describes a route that is told of by itself.
func (m *model) routeChange(r route, deleted bool) change {
	kind := "route.change"
	if deleted {
		kind = "route.delete"
	}
	active, standby := m.hops(r)
	data := map[string]string{"via": m.describe(active), "proto": strconv.Itoa(int(r.proto))}
	m.addStandby(data, standby)
	if r.metric != 0 {
		data["metric"] = strconv.FormatUint(uint64(r.metric), 10)
	}
	if r.table != unix.RT_TABLE_MAIN {
		data["table"] = strconv.FormatUint(uint64(r.table), 10)
	}
	if r.next != 0 {
		data["nexthop"] = id(r.next)
	}
	return change{kind, r.prefix.String(), data}
}

func id(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func sorted(m map[uint32]nexthop) []uint32 {
	keys := make([]uint32, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
