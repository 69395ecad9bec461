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

// TestSoakNoFalseDown runs 10 ms × 3 while four goroutines of the same
// process want all processors. The figure that matters besides is the worst
// lateness of a transmission.
func TestSoakNoFalseDown(t *testing.T) {
	if os.Getenv("GWLAB_SOAK") != "1" {
		t.Skip("takes 5 s of full load; set GWLAB_SOAK=1")
	}
	g := newGround(t)
	a, b := bothUpAs(t, g, params(10*time.Millisecond), newIsolated)
	before := a.status(t, addrB4).Transitions + b.status(t, addrA4).Transitions
	stop := hog(4)
	time.Sleep(5 * time.Second)
	sa, sb := a.status(t, addrB4), b.status(t, addrA4)
	for _, st := range []Status{sa, sb} {
		t.Logf("tx %d rx %d worst lateness %v", st.Tx, st.Rx, st.WorstTxLateness)
	}
	if after := sa.Transitions + sb.Transitions; after != before {
		t.Errorf("false downs: %d transitions before, %d after", before, after)
	}
	cut := deafen(t, g.a)
	down := a.await(t, addrB4, Down)
	t.Logf("3 × 10 ms loaded: down %v after the cut, %v after the last packet",
		time.Duration(down.At-cut), time.Duration(down.At-down.LastRx))
	stop()
}
