package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gwlab/reports/convergence"
)

// Bounds that no session exceeds, whatever it is asked.
const (
	MaxDuration = 10 * time.Minute
	MaxRate     = 50_000 // packets per second, all flows together
	maxDrain    = 10 * time.Second

	// tick is the sender's grid: it wakes this often and sends what is due. A
	// flow whose interval is no multiple of it jitters by up to a tick.
	tick = time.Millisecond
	// minInterval is the finest interval of a flow; a flow faster than the
	// tick makes the tick finer.
	minInterval = 100 * time.Microsecond

	// DefaultDrain is how long the receiver waits for late packets after the
	// last send.
	DefaultDrain = 100 * time.Millisecond
)

// Flow is a flow and the namespaces it runs between, as paths
// ("/run/netns/…"). ID, Src, Dst and Interval decide what is sent; IDs are
// unique, Src and Dst are addr:port of one family.
type Flow struct {
	convergence.Flow
	FromNetns string `json:"from_netns"`
	ToNetns   string `json:"to_netns"`
}

// Spec is what the probe process is told on its standard input: one line of JSON.
type Spec struct {
	Flows []Flow `json:"flows"`
	// Drain is how long to wait for late packets after the last send, at
	// most 10 s. 0 means DefaultDrain.
	Drain time.Duration `json:"drain_ns"`
	// Limit ends the session by itself; 0 means MaxDuration.
	Limit time.Duration `json:"limit_ns"`
}

// endpoints are a flow's parsed addresses.
type endpoints struct{ src, dst netip.AddrPort }

// prepare fills in the defaults and refuses what cannot be measured.
func (s *Spec) prepare() ([]endpoints, error) {
	if len(s.Flows) == 0 {
		return nil, errors.New("check probe spec: no flows")
	}
	if s.Drain == 0 {
		s.Drain = DefaultDrain
	}
	if s.Limit == 0 {
		s.Limit = MaxDuration
	}
	if s.Drain < 0 || s.Drain > maxDrain {
		return nil, fmt.Errorf("check probe spec: drain %v is not within 0..%v", s.Drain, maxDrain)
	}
	if s.Limit < 0 || s.Limit > MaxDuration {
		return nil, fmt.Errorf("check probe spec: limit %v is not within 0..%v", s.Limit, MaxDuration)
	}
	var (
		rate float64
		ends = make([]endpoints, 0, len(s.Flows))
		seen = make(map[uint16]bool)
	)
	for i := range s.Flows {
		f := &s.Flows[i]
		if seen[f.ID] {
			return nil, fmt.Errorf("check probe spec: flow id %d twice", f.ID)
		}
		seen[f.ID] = true
		e, err := f.check()
		if err != nil {
			return nil, fmt.Errorf("check flow %s/%d: %w", f.Group, f.Index, err)
		}
		ends = append(ends, e)
		rate += float64(time.Second) / float64(f.Interval)
	}
	if rate > MaxRate {
		return nil, fmt.Errorf("check probe spec: %.0f packets per second in all, at most %d can be measured", rate, MaxRate)
	}
	return ends, nil
}

// grid is the pause between two wake-ups of the sender.
func (s *Spec) grid() time.Duration {
	g := tick
	for _, f := range s.Flows {
		if f.Interval >= minInterval && f.Interval < g {
			g = f.Interval
		}
	}
	return g
}

func (f *Flow) check() (endpoints, error) {
	if f.FromNetns == "" || f.ToNetns == "" {
		return endpoints{}, errors.New("a namespace path is missing")
	}
	src, err := netip.ParseAddrPort(f.Src)
	if err != nil {
		return endpoints{}, fmt.Errorf("parse source: %w", err)
	}
	dst, err := netip.ParseAddrPort(f.Dst)
	if err != nil {
		return endpoints{}, fmt.Errorf("parse destination: %w", err)
	}
	if src.Addr().Is4() != dst.Addr().Is4() {
		return endpoints{}, fmt.Errorf("source %s and destination %s are of different families", src, dst)
	}
	if dst.Port() == 0 {
		return endpoints{}, errors.New("the destination's port is 0")
	}
	if f.Interval < minInterval || f.Interval > time.Minute {
		return endpoints{}, fmt.Errorf("interval %v is not within %v..1m", f.Interval, minInterval)
	}
	return endpoints{src, dst}, nil
}
