package convergence

import (
	"cmp"
	"slices"
	"time"
)

// fibChange is the kind of event that tells how a node forwards a watched
// prefix: Data["via"] are the interfaces, sorted.
const fibChange = "fib.change"

// Reversion is RFC 6414's: after a repair, how long until traffic is on its
// primary paths again. It is the time from the first heal of the phase until
// every watched forwarding entry of every node is what it was before the
// first fault of the run. It is 0 when nothing had changed, and ok is false
// when nothing was healed in the phase or some entry never came back.
func Reversion(run Run, phase string) (took, uncertainty time.Duration, ok bool) {
	var fault, heal *Injection
	for i := range run.Injections {
		in := &run.Injections[i]
		if !in.Heal && fault == nil {
			fault = in
		}
		if in.Heal && in.Phase == phase && heal == nil {
			heal = in
		}
	}
	if fault == nil || heal == nil {
		return 0, 0, false
	}
	var changes []Event
	for _, e := range run.Events {
		if e.Kind == fibChange {
			changes = append(changes, e)
		}
	}
	slices.SortStableFunc(changes, func(a, b Event) int { return cmp.Compare(a.T, b.T) })

	type entry struct{ node, key string }
	primary, now := map[entry]string{}, map[entry]string{}
	astray := 0 // entries that differ from the primary
	back := heal.Return
	for _, e := range changes {
		at := entry{e.Node, e.Key}
		if e.T < fault.Call {
			primary[at], now[at] = e.Data["via"], e.Data["via"]
			continue
		}
		was := now[at] != primary[at]
		now[at] = e.Data["via"]
		is := now[at] != primary[at]
		if was == is {
			continue
		}
		if is {
			astray++
		} else if astray--; astray == 0 && e.T > back {
			back = e.T
		}
	}
	return time.Duration(back - heal.Return), time.Duration(heal.Return - heal.Call), astray == 0
}
