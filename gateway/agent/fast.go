package agent

import (
	"context"

	"gwlab/gateway/state"
	"gwlab/internal/monotime"
)

// fast is the path of repairs: each event is turned into groups changed in
// the kernel before anything else hears of it. When ctx has ended the siblings
// end too, and what they say of that repairs nothing.
func (a *Agent) fast(ctx context.Context) error {
	m := newMachine()
	for {
		for items := a.happened.take(); len(items) > 0; items = a.happened.take() {
			for _, h := range items {
				if ctx.Err() != nil {
					return nil //nolint:nilerr // the end that was asked for
				}
				a.act(m.step(h), h)
			}
		}
		select {
		case <-a.happened.ready:
		case <-ctx.Done():
			return nil
		}
	}
}

// step hands the event to its rule.
func (m *machine) step(h happening) actions {
	switch {
	case h.bfd != nil:
		return m.detected(*h.bfd)
	case h.link != nil:
		return m.link(*h.link)
	case h.peer != nil:
		return m.session(*h.peer)
	case h.config != nil:
		return m.configure(h.config.Neighbors)
	default:
		return m.learn(h.hops)
	}
}

// act carries the actions out: the kernel first, then BGP, then the record.
func (a *Agent) act(do actions, h happening) {
	var repairs []Repair
	for _, hop := range do.fail {
		repairs = append(repairs, a.fail(hop, do.cause))
	}
	for _, hop := range do.restore {
		a.restore(hop)
	}
	for _, r := range do.reach {
		a.reaches.push(r)
	}
	if len(do.fail)+len(do.restore) > 0 {
		a.bulk.poke() // routes may have gone with their group
	}
	a.emitHappening(h)
	for _, r := range repairs {
		if r.Groups > 0 { // else no route used it
			a.emitRepair(r)
		}
	}
}

func (a *Agent) fail(hop state.NextHop, cause string) Repair {
	applied, err := a.deps.FIB.Fail(hop)
	r := Repair{Cause: cause, NextHop: hop, Groups: applied.Groups, Took: applied.Took, At: monotime.Now()}
	if err != nil {
		a.log.Error("repair failed, an audit follows", "nexthop", hop, "err", err)
		a.bulk.suspect()
	}
	a.mu.Lock()
	a.repair = r
	a.mu.Unlock()
	return r
}

func (a *Agent) restore(hop state.NextHop) {
	applied, err := a.deps.FIB.Restore(hop)
	if err != nil {
		a.log.Error("restore failed, an audit follows", "nexthop", hop, "err", err)
		a.bulk.suspect()
	}
	if applied.Groups+applied.NextHops > 0 {
		a.deps.Events.Emit(programmed(applied))
	}
}
