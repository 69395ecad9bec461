package gateway

import (
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gwlab/gateway/event"
)

// meter counts what passes on its way to the bus. Like any Sink it never
// waits for anybody: its lock guards a few additions.
type meter struct {
	bus     *event.Bus
	repairs *prometheus.CounterVec
	took    prometheus.Histogram

	mu sync.Mutex
	c  counts
}

// counts are the sums over all events so far.
type counts struct {
	kinds  map[string]uint64 // events, by kind
	mended uint64
	swept  uint64
	last   time.Duration // of the last repair
	// synced peers, by address. The speaker knows an End-of-RIB before the
	// routes ahead of it have reached the agent; its event comes after them.
	synced map[string]bool
}

func newMeter(bus *event.Bus) *meter {
	return &meter{
		bus: bus,
		c:   counts{kinds: map[string]uint64{}, synced: map[string]bool{}},
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewayd_fib_repairs_total",
			Help: "Repairs of nexthop groups, by what caused them.",
		}, []string{"cause"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "gatewayd_fib_repair_duration_seconds",
			Help:    "How long the kernel took for one repair.",
			Buckets: prometheus.ExponentialBuckets(10e-6, 2, 14), // 10 µs … 82 ms
		}),
	}
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
		m.repairs.WithLabelValues(e.Data["cause"]).Inc()
		if ns, err := strconv.ParseInt(e.Data["took_ns"], 10, 64); err == nil {
			m.c.last = time.Duration(ns)
			m.took.Observe(m.c.last.Seconds())
		}
	case event.BGPSynced:
		m.c.synced[e.Key] = true
	case event.BGPUp, event.BGPDown:
		delete(m.c.synced, e.Key)
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
	c.kinds, c.synced = maps.Clone(c.kinds), maps.Clone(c.synced)
	return c
}

// fib returns the counters that a status shows.
func (c counts) fib() FIBStatus {
	return FIBStatus{
		Programs: c.kinds[event.Program], Repairs: c.kinds[event.Repair],
		LastRepair: c.last, Mended: c.mended, Swept: c.swept,
	}
}
