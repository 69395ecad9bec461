package gateway

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"gwlab/gateway/event"
)

// meter counts what passes on its way to the bus. Like any Sink it never
// waits for anybody: its lock guards a few additions.
type meter struct {
	bus *event.Bus

	mu sync.Mutex
	c  counts
}

// counts are the sums over all events so far.
type counts struct {
	kinds  map[string]uint64 // events, by kind
	causes map[string]uint64 // repairs, by cause
	mended uint64
	swept  uint64
	last   time.Duration // of the last repair
	took   histogram     // of all repairs
}

// histogram counts durations; buckets[i] holds those up to bounds()[i] and
// over the bound before, the last one the rest.
type histogram struct {
	buckets [repairBuckets + 1]uint64
	sum     time.Duration
	count   uint64
}

const repairBuckets = 14

// bound is the upper end of bucket i: 10 µs doubled i times, 82 ms at most.
func bound(i int) time.Duration { return 10 * time.Microsecond << i }

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < repairBuckets && d > bound(i) {
		i++
	}
	h.buckets[i]++
	h.sum += d
	h.count++
}

func newMeter(bus *event.Bus) *meter {
	return &meter{bus: bus, c: counts{kinds: map[string]uint64{}, causes: map[string]uint64{}}}
}

// Emit counts the event and passes it on.
func (m *meter) Emit(e event.Event) {
	m.count(e)
	m.bus.Emit(e)
}

func (m *meter) count(e event.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.c.kinds[e.Kind]++
	switch e.Kind {
	case event.Repair:
		m.c.causes[e.Data["cause"]]++
		if ns, err := strconv.ParseInt(e.Data["took_ns"], 10, 64); err == nil {
			m.c.last = time.Duration(ns)
			m.c.took.observe(m.c.last)
		}
	case event.Mended:
		if n, err := strconv.ParseUint(e.Data["count"], 10, 64); err == nil {
			m.c.mended += n
		}
	case event.Swept:
		if n, err := strconv.ParseUint(e.Data["routes"], 10, 64); err == nil {
			m.c.swept += n
		}
	}
}

// counted returns the sums so far.
func (m *meter) counted() counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.c
	c.kinds, c.causes = maps.Clone(c.kinds), maps.Clone(c.causes)
	return c
}

// fib returns the counters that a status shows.
func (c counts) fib() FIBStatus {
	return FIBStatus{
		Programs: c.kinds[event.Program], Repairs: c.kinds[event.Repair],
		LastRepair: c.last, Mended: c.mended, Swept: c.swept,
	}
}

func sortedKeys(m map[string]uint64) []string { return slices.Sorted(maps.Keys(m)) }
