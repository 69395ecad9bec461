package kernel_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gwlab/gateway/state"
)

// history drives a FIB by random events and knows what must come of them.
type history struct {
	*world
	r      *rand.Rand
	routes map[netip.Prefix]state.Group
	down   map[state.NextHop]bool // by verdict of BFD
	cutOff map[string]bool        // links without carrier
	log    []string
}

// After any history the kernel forwards as a plain reading of the desired
// state says, an audit finds nothing, and a restart changes nothing.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			h := &history{
				world: newWorld(t), r: rand.New(rand.NewPCG(seed, 1)),
				routes: map[netip.Prefix]state.Group{}, down: map[state.NextHop]bool{}, cutOff: map[string]bool{},
			}
			for range 40 {
				h.step()
				h.check()
			}
			h.restart()
		})
	}
}

// hopsOf are the next hops of a family: two links with two each, one with one.
func hopsOf(v6 bool) []state.NextHop {
	if v6 {
		return hops(isp16, hop("2001:db8:1::3", "up1"), isp26, hop("fe80::3", "up2"), peer6)
	}
	return hops(isp1, hop("198.18.1.3", "up1"), isp2, hop("198.18.2.3", "up2"), peer)
}

func (h *history) group(v6 bool) state.Group {
	all := hopsOf(v6)
	h.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	primaries := 1 + h.r.IntN(3)
	backups := h.r.IntN(len(all) - primaries + 1)
	return state.Group{Primary: all[:primaries], Backup: all[primaries : primaries+backups]}
}

func (h *history) prefix() (netip.Prefix, bool) {
	n := byte(h.r.IntN(6))
	if h.r.IntN(2) == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64 + n}), 16), false
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, n}), 16), true
}

func (h *history) step() {
	switch h.r.IntN(6) {
	case 0, 1:
		h.change()
	case 2, 3:
		h.detect()
	case 4:
		h.wire()
	case 5:
		h.tamper()
	}
}

// change updates a few routes.
func (h *history) change() {
	set := map[netip.Prefix]state.Group{}
	var del []netip.Prefix
	for range 1 + h.r.IntN(4) {
		p, v6 := h.prefix()
		if _, ok := h.routes[p]; ok && h.r.IntN(3) == 0 {
			delete(set, p)
			del = append(del, p)
			continue
		}
		set[p] = h.group(v6)
		del = slices.DeleteFunc(del, func(d netip.Prefix) bool { return d == p })
	}
	maps.Copy(h.routes, set)
	for _, p := range del {
		delete(h.routes, p)
	}
	h.log = append(h.log, fmt.Sprintf("update %v delete %v", set, del))
	_, err := h.fib.Update(set, del)
	h.must(err)
}

// detect is a verdict of BFD on one next hop of a link that has carrier.
func (h *history) detect() {
	all := hopsOf(h.r.IntN(2) == 0)
	n := all[h.r.IntN(len(all))]
	if h.cutOff[n.Interface] {
		return
	}
	h.log = append(h.log, fmt.Sprintf("bfd %s down=%v", n, !h.down[n]))
	if h.down[n] {
		delete(h.down, n)
		h.restore(n)
	} else {
		h.down[n] = true
		h.fail(n)
		_, err := h.fib.Update(nil, nil)
		h.must(err)
	}
}

// wire cuts or mends a link and tells the FIB, as the agent does.
func (h *history) wire() {
	name := ports[h.r.IntN(len(ports))]
	h.log = append(h.log, fmt.Sprintf("link %s up=%v", name, h.cutOff[name]))
	var concerned []state.NextHop
	for _, n := range slices.Concat(hopsOf(false), hopsOf(true)) {
		if n.Interface == name {
			concerned = append(concerned, n)
			delete(h.down, n)
		}
	}
	if h.cutOff[name] {
		delete(h.cutOff, name)
		h.mend(name)
		h.restore(concerned...)
		return
	}
	h.cutOff[name] = true
	h.cut(name)
	h.fail(concerned...)
	_, err := h.fib.Update(nil, nil)
	h.must(err)
}

// tamper deletes a nexthop object or a route behind the FIB's back; an audit
// puts it right.
func (h *history) tamper() {
	var ids []string
	for line := range strings.Lines(h.ip("nexthop", "show", "proto", "201")) {
		ids = append(ids, strings.Fields(line)[1])
	}
	if len(ids) == 0 {
		return
	}
	id := ids[h.r.IntN(len(ids))]
	h.log = append(h.log, "delete nexthop "+id)
	h.ip("nexthop", "del", "id", id)
	mended, err := h.fib.Audit()
	h.must(err)
	if len(mended) == 0 {
		h.t.Errorf("audit did not notice that nexthop %s is gone", id)
	}
}

// check compares the kernel with the oracle.
func (h *history) check() {
	h.t.Helper()
	dump, err := h.fib.Dump()
	h.must(err)
	_, kernel, _ := strings.Cut(dump, "kernel\n")
	var got []string
	for line := range strings.Lines(kernel) {
		fields := slices.DeleteFunc(strings.Fields(line), func(f string) bool { return strings.HasPrefix(f, "(") })
		got = append(got, strings.Join(fields, " "))
	}
	if diff := cmp.Diff(h.oracle(), got); diff != "" {
		h.t.Fatalf("after\n%s\nkernel (-want +got):\n%s", strings.Join(h.log, "\n"), diff)
	}
	h.clean(h.fib)
	if h.t.Failed() {
		h.t.Fatalf("history:\n%s", strings.Join(h.log, "\n"))
	}
}

// oracle is where packets must go, read plainly: living primaries, else
// living backups, else whatever has a link, else no route.
func (h *history) oracle() []string {
	var out []string
	for _, p := range slices.SortedFunc(maps.Keys(h.routes), state.ComparePrefix) {
		g := h.routes[p].Normalise()
		for _, choice := range [][]state.NextHop{h.pick(g.Primary, true), h.pick(g.Backup, true), h.pick(g.Primary, false), h.pick(g.Backup, false)} {
			if len(choice) == 0 {
				continue
			}
			names := make([]string, len(choice))
			for i, n := range choice {
				names[i] = n.String()
			}
			slices.Sort(names)
			out = append(out, fmt.Sprintf("route %s via %s", p, strings.Join(names, " ")))
			break
		}
	}
	return out
}

// pick keeps the next hops whose link has carrier and, if living, that BFD
// does not call dead.
func (h *history) pick(hops []state.NextHop, living bool) []state.NextHop {
	return slices.DeleteFunc(slices.Clone(hops), func(n state.NextHop) bool {
		return h.cutOff[n.Interface] || (living && h.down[n])
	})
}

// restart adopts, is told the same state, and must find nothing to do.
func (h *history) restart() {
	h.t.Helper()
	before := h.ip("route", "show", "proto", "201") + h.ip("-6", "route", "show", "proto", "201")
	next := h.open()
	h.must(next.Adopt())
	dead := maps.Clone(h.down)
	for _, n := range slices.Concat(hopsOf(false), hopsOf(true)) {
		if h.cutOff[n.Interface] {
			dead[n] = true
		}
	}
	_, err := next.Set(state.State{Routes: h.routes, Down: dead})
	h.must(err)
	_, err = next.Sweep()
	h.must(err)
	h.fib = next
	h.check()
	after := h.ip("route", "show", "proto", "201") + h.ip("-6", "route", "show", "proto", "201")
	if len(before) > 0 && len(after) == 0 {
		h.t.Errorf("a restart lost every route:\n%s", before)
	}
}
