package cable

import (
	"errors"
	"fmt"
	"sync"

	"gwlab/fault"
	"gwlab/internal/monotime"
)

// Cables is the runtime hand on the cables of a lab. Traffic flows on without
// it; only the verbs need it. Its methods may be called from any goroutine.
type Cables struct {
	mu     sync.Mutex
	socket *rtnl // in the middle namespace
	patch  *patch
	base   int
	cables map[string]*joined
	bare   map[string]bool
	closed bool
}

// joined is a cable's place and what its carrier is set to.
type joined struct {
	midA, midB int
	carrier    bool
}

// Change is one link's new state.
type Change struct {
	Link  string
	State fault.CableState
	// BFirst moves the carrier of end B before that of end A. The first ends
	// of all changes move before any second one: taking a link down costs the
	// kernel an RCU grace period, and of many cables the ends that somebody
	// watches should not wait for those that nobody does.
	BFirst bool
}

func newCables(s Spec, base int) *Cables {
	c := &Cables{base: base, cables: map[string]*joined{}, bare: map[string]bool{}}
	for k, l := range s.Links {
		switch l.Type {
		case Veth:
			c.bare[l.Name] = true
		case Cable:
			a, b := middles(base, k)
			c.cables[l.Name] = &joined{a, b, true}
		}
	}
	return c
}

// Set changes what a cable does; see [Cables.SetMany].
func (c *Cables) Set(link string, s fault.CableState) (fault.Effect, error) {
	return c.SetMany(Change{Link: link, State: s})
}

// SetMany changes several cables at once. Directions that are to drop do so
// first and those that are to pass open then, all within microseconds; carriers
// change last. A gate opens before its carrier rises, or the first words of
// whoever reacts to the carrier, an ARP request or a SYN, would be lost and
// said again a second later. The Effect brackets the instant traffic changed:
// the closing of the gates if nothing opens, else the whole change. Nothing
// is changed when a change is refused.
func (c *Cables) SetMany(changes ...Change) (fault.Effect, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var shut, open []*gate
	var carriers batch
	var later []func()
	var moved []func()
	opens := false
	for _, ch := range changes {
		j, err := c.find(ch.Link)
		if err != nil {
			return fault.Effect{}, fmt.Errorf("set cable: %w", err)
		}
		for i, p := range []fault.Pass{ch.State.AtoB, ch.State.BtoA} {
			g := c.gate([]int{j.midA, j.midB}[i])
			switch {
			case p != fault.PassAll && p != fault.PassNone:
				return fault.Effect{}, fmt.Errorf("set cable %s: unknown pass %q: use %q or %q", ch.Link, p, fault.PassAll, fault.PassNone)
			case p == fault.PassNone || !ch.State.Carrier:
				shut = append(shut, g)
			default:
				opens = opens || !g.passes()
				open = append(open, g)
			}
		}
		if j.carrier != ch.State.Carrier {
			first, second := j.midA, j.midB
			if ch.BFirst {
				first, second = second, first
			}
			carriers.setUp("set carrier of "+ch.Link, first, ch.State.Carrier)
			later = append(later, func() { carriers.setUp("set carrier of "+ch.Link, second, ch.State.Carrier) })
			moved = append(moved, func() { j.carrier = ch.State.Carrier })
		}
	}
	for _, f := range later {
		f()
	}
	effect := fault.Effect{Call: monotime.Now()}
	for _, g := range shut {
		g.shut()
	}
	effect.Return = monotime.Now()
	for _, g := range open {
		g.open()
	}
	if _, err := c.socket.do(&carriers); err != nil {
		return fault.Effect{}, fmt.Errorf("set cable: %w", err)
	}
	for _, f := range moved {
		f()
	}
	if opens {
		effect.Return = monotime.Now()
	}
	return effect, nil
}

// Counters returns what entered a cable at A and at B.
func (c *Cables) Counters(link string) (aToB, bToA fault.Counters, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j, err := c.find(link)
	if err != nil {
		return aToB, bToA, fmt.Errorf("read cable counters: %w", err)
	}
	return c.gate(j.midA).counters(), c.gate(j.midB).counters(), nil
}

// LastPass returns when a cable last let a packet through, CLOCK_MONOTONIC
// ns, 0 for never.
func (c *Cables) LastPass(link string) (aToB, bToA int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j, err := c.find(link)
	if err != nil {
		return 0, 0, fmt.Errorf("read cable: %w", err)
	}
	return c.gate(j.midA).last(), c.gate(j.midB).last(), nil
}

// Close lets go of the cables and leaves them as they are; they end with
// their namespaces. A second Close does nothing.
func (c *Cables) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	var errs []error
	if c.socket != nil {
		errs = append(errs, c.socket.Close())
	}
	if c.patch != nil {
		errs = append(errs, c.patch.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close cables: %w", err)
	}
	return nil
}

func (c *Cables) find(link string) (*joined, error) {
	if c.closed {
		return nil, errors.New("cables are closed")
	}
	if c.bare[link] {
		return nil, fmt.Errorf("link %s is a bare veth and has no middle: give it type: cable", link)
	}
	j, ok := c.cables[link]
	if !ok {
		return nil, fmt.Errorf("no link %q", link)
	}
	return j, nil
}

func (c *Cables) gate(index int) *gate { return &c.patch.gates[index-c.base] }
