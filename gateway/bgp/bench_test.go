package bgp

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"gwlab/gateway/config"
)

// table is the size of the tables the benchmarks load.
const tableSize = 100_000

func feeder(id int, port int, peerAS uint32) config.Config {
	self := fmt.Sprintf("127.0.8.%d", id)
	n := neighbor("127.0.8.1", peerAS)
	n.LocalAddress = addr(self)
	c := speaker(uint32(65100+id), fmt.Sprintf("10.0.8.%d", id), port, n)
	c.Networks = []config.Network{feed("20.0.0.0/7", 24, tableSize)}
	return c
}

// BenchmarkLoad measures the time until 100,000 prefixes from each of two
// peers are best paths known to the FIB with both next hops, from cold.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		port := freePort(b)
		var feeders []*speakerUnderTest
		for id := 2; id <= 3; id++ {
			feeders = append(feeders, run(b, feeder(id, port, 65001), Deps{Net: loopNet{addr(fmt.Sprintf("127.0.8.%d", id))}}))
		}
		cfg := speaker(65001, "10.0.8.1", port, neighbor("127.0.8.2", 65102), neighbor("127.0.8.3", 65103))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		s := run(b, cfg, Deps{Net: loopNet{addr("127.0.8.1")}})
		s.await(b, "both tables", func() bool { return both(s) })
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(2*tableSize), "heap-B/route")
		s.stop()
		for _, f := range feeders {
			f.stop()
		}
		b.StartTimer()
	}
}

// both tells whether the whole table has two next hops. Counting is too slow
// to do after every batch: the last prefix decides first.
func both(s *speakerUnderTest) bool {
	if len(s.fib) != tableSize {
		return false
	}
	for _, g := range s.fib {
		if len(g.Primary) != 2 {
			return false
		}
	}
	return true
}

// BenchmarkPeerLoss measures the time from a peer's loss until the last of
// its 100,000 prefixes has been decided anew and told to the FIB.
func BenchmarkPeerLoss(b *testing.B) {
	port := freePort(b)
	for id := 2; id <= 3; id++ {
		run(b, feeder(id, port, 65001), Deps{Net: loopNet{addr(fmt.Sprintf("127.0.8.%d", id))}})
	}
	cfg := speaker(65001, "10.0.8.1", port, neighbor("127.0.8.2", 65102), neighbor("127.0.8.3", 65103))
	s := run(b, cfg, Deps{Net: loopNet{addr("127.0.8.1")}})
	s.await(b, "both tables", func() bool { return both(s) })
	single := func() bool {
		for _, g := range s.fib {
			if len(g.Primary) != 1 {
				return false
			}
		}
		return true
	}
	for b.Loop() {
		s.SetReachable(addr("127.0.8.3"), false)
		s.await(b, "loss", single)
		b.StopTimer()
		s.SetReachable(addr("127.0.8.3"), true)
		s.await(b, "return", func() bool { return both(s) })
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/loss")
}
