package probe

import (
	"time"

	"gwlab/reports/convergence"
)

const (
	latenessStep = 10 * time.Microsecond
	latenessBins = 10_000 // up to 100 ms; beyond counts as the last
	maxStalls    = 1000
)

// fitness is the sender's account of itself. It allocates nothing after newFitness.
type fitness struct {
	realTime   bool
	worstLate  time.Duration
	lateness   []uint32
	worstGap   int64
	stalls     []convergence.Stall
	noBuffers  uint64
	sendErrors uint64
}

func newFitness() fitness {
	return fitness{lateness: make([]uint32, latenessBins), stalls: make([]convergence.Stall, 0, maxStalls)}
}

// late counts one wake-up this long after its tick.
func (f *fitness) late(by time.Duration) {
	f.worstLate = max(f.worstLate, by)
	f.lateness[min(max(int(by/latenessStep), 0), latenessBins-1)]++
}

// paused judges the pause between two sends of a flow of this interval.
func (f *fitness) paused(last, now, interval int64) {
	f.worstGap = max(f.worstGap, now-last-interval)
	if now-last > 2*interval {
		f.stalled(last, now)
	}
}

// stalled records a pause of the sender; those of several flows that overlap
// are one. When the list is full its last entry takes all that follow.
func (f *fitness) stalled(from, to int64) {
	if n := len(f.stalls); n > 0 && (from <= f.stalls[n-1].End || n == maxStalls) {
		f.stalls[n-1].Start = min(f.stalls[n-1].Start, from)
		f.stalls[n-1].End = max(f.stalls[n-1].End, to)
		return
	}
	f.stalls = append(f.stalls, convergence.Stall{Start: from, End: to})
}

// p99 is the 99th percentile of lateness, to 10 microseconds, rounded up.
func (f *fitness) p99() time.Duration {
	var total, seen uint64
	for _, n := range f.lateness {
		total += uint64(n)
	}
	for i, n := range f.lateness {
		seen += uint64(n)
		if n > 0 && seen*100 >= total*99 {
			return min(time.Duration(i+1)*latenessStep, f.worstLate)
		}
	}
	return 0
}

func (f *fitness) fill(h *convergence.Health) {
	h.WorstLateness, h.P99Lateness, h.WorstGap = f.worstLate, f.p99(), time.Duration(f.worstGap)
	h.NoBuffers, h.SendErrors, h.RealTime, h.Stalls = f.noBuffers, f.sendErrors, f.realTime, f.stalls
}
