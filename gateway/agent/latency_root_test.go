package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"gwlab/gateway/bgp"
	"gwlab/gateway/state"
	"gwlab/internal/monotime"
)

// BenchmarkRepair reports the time from OnBFD to the end of the repair in the
// kernel: at rest, and while 100,000 routes are being moved.
func BenchmarkRepair(b *testing.B) {
	for _, busy := range []bool{false, true} {
		b.Run(fmt.Sprintf("busy=%v", busy), func(b *testing.B) { benchmarkRepair(b, busy) })
	}
}

func benchmarkRepair(b *testing.B, busy bool) {
	g := newGround(b)
	stop := g.start(g.fib)
	defer stop()
	g.await("event link.up up1", "event link.up up2", "event link.up ibl", "bfd set")
	both := []state.NextHop{hopOf(isp1, "up1"), hopOf(isp2, "up2")}
	groups := []state.Group{{Primary: both, Backup: []state.NextHop{hopOf(gw2, "ibl")}}, {Primary: both}}
	g.OnUpdate(bgp.Update{Set: manyRoutes(groups[0])})
	g.OnBFD(*bfdUp(isp1).bfd)
	g.programmed()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		if busy {
			g.OnUpdate(bgp.Update{Set: manyRoutes(groups[(i+1)%2])})
			time.Sleep(50 * time.Millisecond) // into the middle of it
		}
		g.take()
		start := monotime.Now()
		g.OnBFD(*bfdDown(isp1).bfd)
		g.await("event fib.repair")
		took = append(took, time.Duration(g.Snapshot().Repair.At-start))
		g.OnBFD(*bfdUp(isp1).bfd)
		g.await("bgp reach 198.18.1.2 true")
		g.programmed()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms/repair")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1e3, "ms/worst-repair")
}

func (g *ground) programmed() {
	for !g.Programmed() {
		time.Sleep(time.Millisecond)
	}
}

func manyRoutes(g state.Group) map[netip.Prefix]state.Group {
	const count = 100_000
	out := make(map[netip.Prefix]state.Group, count)
	for i := range count {
		out[netip.PrefixFrom(netip.AddrFrom4([4]byte{20 + byte(i>>16), byte(i >> 8), byte(i), 0}), 24)] = g
	}
	return out
}
