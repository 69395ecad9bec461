package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

var (
	isp1  = netip.MustParseAddr("198.18.1.2")
	isp16 = netip.MustParseAddr("2001:db8:1::2")
	isp2  = netip.MustParseAddr("198.18.2.2")
	gw2   = netip.MustParseAddr("198.18.3.2")
)

func neighbors() []config.Neighbor {
	return []config.Neighbor{
		{Name: "isp1", Address: isp1, Interface: "up1"},
		{Name: "isp1-v6", Address: isp16, Interface: "up1"},
		{Name: "isp2", Address: isp2, Interface: "up2"},
		{Name: "gw2", Address: gw2, Interface: "ibl", BFD: config.BFD{Off: true}},
	}
}

func hopOf(addr netip.Addr, iface string) state.NextHop {
	return state.NextHop{Addr: addr, Interface: iface}
}

// The events that tests speak of.

func bfdChange(peer netip.Addr, from, to bfd.State) happening {
	iface := "up1"
	if peer == isp2 {
		iface = "up2"
	}
	c := bfd.Change{Key: bfd.Key{Interface: iface, Peer: peer}, Old: from, State: to, RemoteState: bfd.Up}
	if to == bfd.Down {
		c.Diag = bfd.DiagTimeout
	}
	return happening{bfd: &c}
}

func bfdUp(peer netip.Addr) happening   { return bfdChange(peer, bfd.Init, bfd.Up) }
func bfdDown(peer netip.Addr) happening { return bfdChange(peer, bfd.Up, bfd.Down) }

func remoteAdminDown(peer netip.Addr) happening {
	h := bfdDown(peer)
	h.bfd.RemoteState, h.bfd.Diag = bfd.AdminDown, bfd.DiagNeighborDown
	return h
}

// remoteShut is AdminDown heard in Down.
func remoteShut(peer netip.Addr) happening {
	h := remoteAdminDown(peer)
	h.bfd.Old = bfd.Down
	return h
}

func independent(h happening) happening {
	h.bfd.RemoteIndependent = true
	return h
}

func link(name string, up bool) happening {
	return happening{link: &kernel.LinkEvent{Interface: name, Up: up}}
}

func bgpUp(peer netip.Addr) happening   { return happening{peer: &bgp.PeerEvent{Peer: peer, Up: true}} }
func bgpDown(peer netip.Addr) happening { return happening{peer: &bgp.PeerEvent{Peer: peer}} }
func bgpStale(peer netip.Addr) happening {
	return happening{peer: &bgp.PeerEvent{Peer: peer, Stale: true}}
}

func (a actions) text() string {
	var out []string
	for _, h := range a.fail {
		out = append(out, fmt.Sprintf("fail %s (%s)", h, a.cause))
	}
	for _, h := range a.restore {
		out = append(out, "restore "+h.String())
	}
	for _, r := range a.reach {
		out = append(out, fmt.Sprintf("reach %s %v", r.peer, r.reachable))
	}
	return strings.Join(out, "\n")
}

// play returns what the last event leads to, after the others.
func play(events ...happening) string {
	m := newMachine()
	m.configure(neighbors())
	for _, name := range []string{"up1", "up2", "ibl"} {
		m.step(link(name, true))
	}
	last := ""
	for _, e := range events {
		last = m.step(e).text()
	}
	return last
}

func lines(l ...string) string { return strings.Join(l, "\n") }

// What most rules lead to.
const (
	fail1    = "fail 198.18.1.2@up1 (bfd)"
	unreach1 = "reach 198.18.1.2 false"
	back1    = "restore 198.18.1.2@up1\nreach 198.18.1.2 true"
	up1Lost  = "fail 198.18.1.2@up1 (carrier)\nfail 2001:db8:1::2@up1 (carrier)\n" + unreach1 + "\nreach 2001:db8:1::2 false"
	up1Back  = "restore 198.18.1.2@up1\nrestore 2001:db8:1::2@up1\nreach 198.18.1.2 true\nreach 2001:db8:1::2 true"
)

// rule is what the last of some events must lead to.
type rule struct {
	name   string
	events []happening
	want   string
}

func check(t *testing.T, rules []rule) {
	t.Helper()
	for _, tc := range rules {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, play(tc.events...)); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMachine(t *testing.T) {
	check(t, []rule{
		{"BFD down repairs, then tells BGP", []happening{bfdUp(isp1), bfdDown(isp1)}, lines(fail1, unreach1)},
		{"families are apart", []happening{bfdUp(isp1), bfdUp(isp16), bfdDown(isp1), bfdDown(isp16)},
			lines("fail 2001:db8:1::2@up1 (bfd)", "reach 2001:db8:1::2 false")},
		{"down twice is down", []happening{bfdUp(isp1), bfdDown(isp1), bfdDown(isp1)}, ""},
		{"BFD up again restores", []happening{bfdUp(isp1), bfdDown(isp1), bfdUp(isp1)}, back1},
		{"never up counts as reachable", []happening{bfdChange(isp1, bfd.Init, bfd.Down)}, ""},
		{"first up changes nothing", []happening{bfdUp(isp1)}, ""},
		{"a stranger's session", []happening{bfdDown(netip.MustParseAddr("198.18.9.9"))}, ""},
		{"a session on another interface", []happening{{bfd: &bfd.Change{Key: bfd.Key{Interface: "up2", Peer: isp1}, Old: bfd.Up, State: bfd.Down}}}, ""},

		// RFC 5882 §3.2: AdminDown says nothing about the path.
		{"remote AdminDown leaves it to BGP", []happening{bfdUp(isp1), remoteAdminDown(isp1)}, ""},
		{"AdminDown after a failure gives the peer back", []happening{bfdUp(isp1), bfdDown(isp1), remoteShut(isp1)}, back1},
		{"local AdminDown leaves it to BGP", []happening{bfdUp(isp1), bfdChange(isp1, bfd.Up, bfd.AdminDown)}, ""},

		{"carrier loss takes the whole link", []happening{bfdUp(isp1), link("up1", false)}, up1Lost},
		{"carrier loss twice", []happening{link("up1", false), link("up1", false)}, ""},
		{"BFD has nothing to add to carrier loss", []happening{bfdUp(isp1), link("up1", false), bfdDown(isp1)}, ""},
		{"carrier back restores at once", []happening{bfdUp(isp1), link("up1", false), bfdDown(isp1), link("up1", true)}, up1Back},
		{"carrier loss after BFD", []happening{bfdUp(isp1), bfdDown(isp1), link("up1", false)},
			lines("fail 2001:db8:1::2@up1 (carrier)", "reach 2001:db8:1::2 false")},
		{"carrier back after BFD failed first", []happening{bfdUp(isp1), bfdDown(isp1), link("up1", false), link("up1", true)}, up1Back},
		{"a link not known before", []happening{link("new0", true)}, ""},
		{"a link without neighbors", []happening{link("lo", false)}, ""},

		{"next hops of routes go with their link", []happening{
			{hops: []state.NextHop{hopOf(netip.MustParseAddr("198.18.2.77"), "up2")}}, link("up2", false)},
			lines("fail 198.18.2.2@up2 (carrier)", "fail 198.18.2.77@up2 (carrier)", "reach 198.18.2.2 false")},
		{"next hops learnt over a dead link", []happening{link("up2", false),
			{hops: []state.NextHop{hopOf(netip.MustParseAddr("198.18.2.77"), "up2")}}}, "fail 198.18.2.77@up2 (carrier)"},
	})
}

// BFD that shares fate with the control plane, RFC 5882 §4.3.
func TestMachineGracefulRestart(t *testing.T) {
	check(t, []rule{
		{"BFD goes with a restarting peer", []happening{bfdUp(isp1), bgpStale(isp1), bfdDown(isp1)}, ""},
		{"BFD of its own means the path", []happening{bfdUp(isp1), bgpStale(isp1), independent(bfdDown(isp1))}, lines(fail1, unreach1)},
		{"BFD first means the path", []happening{bfdUp(isp1), bfdDown(isp1), bgpStale(isp1)}, ""},
		{"carrier loss of a restarting peer", []happening{bfdUp(isp1), bgpStale(isp1), link("up1", false)}, up1Lost},
		{"carrier loss of an excused peer", []happening{bfdUp(isp1), bgpStale(isp1), bfdDown(isp1), link("up1", false)}, up1Lost},
		{"the restart succeeds", []happening{bfdUp(isp1), bgpStale(isp1), bfdDown(isp1), bgpUp(isp1)}, ""},
		{"and BFD comes back", []happening{bfdUp(isp1), bgpStale(isp1), bfdDown(isp1), bgpUp(isp1), bfdUp(isp1)}, ""},
		{"and fails again", []happening{bfdUp(isp1), bgpStale(isp1), bfdDown(isp1), bgpUp(isp1), bfdUp(isp1), bfdDown(isp1)}, lines(fail1, unreach1)},
		{"the restart fails", []happening{bfdUp(isp1), bgpStale(isp1), bfdDown(isp1), bgpDown(isp1)}, lines("fail 198.18.1.2@up1 (bgp)", unreach1)},
		{"a session that just ended", []happening{bfdUp(isp1), bgpDown(isp1)}, "fail 198.18.1.2@up1 (bgp)"},
		{"and comes back", []happening{bfdUp(isp1), bgpDown(isp1), bgpUp(isp1)}, "restore 198.18.1.2@up1"},
		{"and BFD fails after it", []happening{bfdUp(isp1), bgpDown(isp1), bfdDown(isp1)}, unreach1},
		{"BFD is back before BGP", []happening{bfdUp(isp1), bfdDown(isp1), bgpDown(isp1), bfdUp(isp1)}, "reach 198.18.1.2 true"},
		{"a stranger's BGP session", []happening{bgpStale(netip.MustParseAddr("198.18.9.9"))}, ""},
	})
}

func TestMachineFirstWordOfALinkRestores(t *testing.T) {
	m := newMachine()
	m.configure(neighbors())
	const want = "restore 198.18.2.2@up2" // its object may have been impossible before
	if got := m.step(link("up2", true)).text(); got != want {
		t.Errorf("actions %q, want %q", got, want)
	}
}

func TestMachineConfigure(t *testing.T) {
	start := func() *machine {
		m := newMachine()
		m.configure(neighbors())
		m.step(bfdUp(isp1))
		m.step(bfdDown(isp1))
		return m
	}
	for name, tc := range map[string]struct {
		change func([]config.Neighbor) []config.Neighbor
		want   string
	}{
		"nothing new": {func(n []config.Neighbor) []config.Neighbor { return n }, ""},
		"BFD switched off": {func(n []config.Neighbor) []config.Neighbor {
			n[0].BFD.Off = true
			return n
		}, "restore 198.18.1.2@up1\nreach 198.18.1.2 true"},
		"peer removed": {func(n []config.Neighbor) []config.Neighbor { return n[1:] }, "restore 198.18.1.2@up1"},
		"peer moved to another link": {func(n []config.Neighbor) []config.Neighbor {
			n[0].Interface = "up2"
			return n
		}, "restore 198.18.1.2@up1\nreach 198.18.1.2 true"},
	} {
		t.Run(name, func(t *testing.T) {
			m := start()
			cfg := happening{config: &config.Config{Neighbors: tc.change(neighbors())}}
			if diff := cmp.Diff(tc.want, m.step(cfg).text()); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMachineNewPeerOnADeadLink(t *testing.T) {
	m := newMachine()
	m.step(link("up2", false))
	const want = "fail 198.18.2.2@up2 (carrier)\nreach 198.18.2.2 false"
	got := m.step(happening{config: &config.Config{Neighbors: neighbors()}})
	if diff := cmp.Diff(want, got.text()); diff != "" {
		// The cause is carrier whoever brought it up.
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

// Whatever happens, a hop is failed and restored in turn, and one that BGP was
// told is out of reach is dead in the kernel. (A hop that lives is not
// always used: its BGP session may be the one that ended.)
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{0, 4, 1, 5, 0, 7, 6, 8, 1, 9, 2, 6})
	f.Fuzz(func(t *testing.T, script []byte) {
		events := []happening{
			bfdUp(isp1), bfdDown(isp1), remoteAdminDown(isp1), independent(bfdDown(isp1)),
			bgpStale(isp1), bgpUp(isp1), bgpDown(isp1), link("up1", false), link("up1", true),
			{config: &config.Config{Neighbors: neighbors()}},
		}
		m := newMachine()
		m.configure(neighbors())
		dead := map[state.NextHop]bool{}
		reachable := map[netip.Addr]bool{isp1: true, isp16: true, isp2: true, gw2: true}
		for _, s := range script {
			a := m.step(events[int(s)%len(events)])
			for _, h := range a.fail {
				if dead[h] {
					t.Fatalf("%s failed twice", h)
				}
				dead[h] = true
			}
			for _, h := range a.restore {
				delete(dead, h)
			}
			for _, r := range a.reach {
				reachable[r.peer] = r.reachable
			}
			for _, n := range neighbors() {
				if !dead[hopOf(n.Address, n.Interface)] && !reachable[n.Address] {
					t.Fatalf("%s: BGP and the kernel disagree", n.Name)
				}
			}
		}
	})
}
