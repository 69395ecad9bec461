package bfd

import (
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// hog keeps n goroutines of this process busy until the returned func is called.
func hog(n int) (stop func()) {
	var enough atomic.Bool
	ended := make(chan uint64, n)
	for range n {
		go func() {
			var x uint64
			for !enough.Load() {
				for range 100_000 {
					x = x*6364136223846793005 + 1442695040888963407
				}
			}
			ended <- x
		}()
	}
	return func() {
		enough.Store(true)
		for range n {
			<-ended
		}
	}
}

// TestSoakNoFalseDown runs isolated sessions while four goroutines of this
// process want all processors. The figure that matters besides is the worst
// lateness of a transmission: one near the detection time says that the
// machine stood still, which no daemon on it can mend.
func TestSoakNoFalseDown(t *testing.T) {
	if os.Getenv("GWLAB_SOAK") != "1" {
		t.Skip("takes 5 s of full load for each interval; set GWLAB_SOAK=1")
	}
	for _, interval := range []time.Duration{50 * time.Millisecond, 10 * time.Millisecond} {
		t.Run(interval.String(), func(t *testing.T) { soak(t, interval) })
	}
}

func soak(t *testing.T, interval time.Duration) {
	g := newGround(t)
	a, b := bothUpAs(t, g, params(interval), newIsolated)
	before := a.status(t, addrB4).Transitions + b.status(t, addrA4).Transitions
	stop := hog(4)
	defer stop()
	time.Sleep(5 * time.Second)
	sa, sb := a.status(t, addrB4), b.status(t, addrA4)
	for _, st := range []Status{sa, sb} {
		t.Logf("tx %d rx %d worst lateness %v", st.Tx, st.Rx, st.WorstTxLateness)
	}
	if after := sa.Transitions + sb.Transitions; after != before {
		t.Errorf("false downs: %d transitions before, %d after", before, after)
	}
	deafen(t, g.a)
	down := a.await(t, addrB4, Down)
	t.Logf("3 × %v loaded: down %v after the last packet, called back %v later in this process", interval,
		time.Duration(down.At-down.LastRx), time.Duration(a.lag.Load()))
}
