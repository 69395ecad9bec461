package convergence

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	repairKind   = "fib.repair"
	bestPathKind = "bgp.best"
)

// The kinds of events that are evidence of a stage. A detection is evidence
// of its own kind of cause only.

func isDetection(kind string) bool {
	return kind == "link.down" || kind == "bfd.down" || kind == "bgp.down"
}

func isRestoration(kind string) bool {
	return kind == "link.up" || kind == "bfd.up" || kind == "bgp.up"
}

func isDecision(kind string) bool { return kind == repairKind || kind == bestPathKind }

func isProgramming(kind string) bool {
	switch kind {
	case repairKind, "fib.program", fibChange, "nexthop.change", "nexthop.delete", "route.change", "route.delete":
		return true
	}
	return false
}

// stages divides the time from the cause to the end of a flow's last outage.
//
// The node whose programming ended the outage is the one whose way to the
// flow's destination changed within a packet interval of its end, else the
// first that programmed anything then, else the last that did before it. Detection is that node's own if it has one, else the first anywhere:
// then its news had to be signalled. Instants are clamped into order, so the
// stages always sum to the whole; time without evidence of its own goes to
// the next stage that has some.
func stages(events []Event, c cause, o Outage, interval time.Duration) *Stages {
	whole := o.End
	seen := within(events, c.call, whole+int64(interval))
	s := &Stages{}
	program, programmed := repairOf(seen, o, interval)
	if programmed {
		s.By = program.Node
	}
	limit := whole
	if programmed {
		limit = program.T
	}
	detect, detected := detection(seen, c, s.By, limit)
	decide, decided := int64(0), false
	if detected {
		decide, decided = decision(seen, detect.Node, detect.T-int64(interval), limit)
	}
	signal, signalled := Event{}, programmed && detected && detect.Node == program.Node
	local := signalled
	if programmed && !local {
		signal, signalled = last(seen, program.Node, bestPathKind, limit)
	}
	at := c.at
	take := func(known bool, name string, t int64) time.Duration {
		if !known {
			s.Missing = append(s.Missing, name)
			return 0
		}
		t = min(max(t, at), whole)
		d := time.Duration(t - at)
		at = t
		return d
	}
	s.Detect = take(detected, "detect", detect.T)
	s.Decide = take(decided, "decide", decide)
	if local {
		signal.T = at
	}
	s.Signal = take(signalled, "signal", signal.T)
	s.Program = take(programmed, "program", program.T)
	s.Residual = take(true, "residual", max(whole, at))
	return s
}

// ofFlow leaves out what tells nothing of a flow: sessions and next hops of
// the other address family, and ways to other destinations.
func ofFlow(events []Event, f Flow) []Event {
	dst, _ := netip.ParseAddrPort(f.Dst) // the zero value is in no prefix
	var list []Event
	for _, e := range events {
		if about := familyOf(e); about != "" && f.Family != "" && about != f.Family {
			continue
		}
		if prefix, err := netip.ParsePrefix(e.Key); err == nil && dst.IsValid() && !prefix.Contains(dst.Addr()) {
			continue
		}
		list = append(list, e)
	}
	return list
}

// familyOf tells it by the address or prefix an event is about, else by the
// first of the next hops it names; "" if it names none.
func familyOf(e Event) string {
	via, _, _ := strings.Cut(e.Data["via"], " ")
	for _, text := range []string{e.Key, via} {
		text, _, _ = strings.Cut(text, "/")
		if a, err := netip.ParseAddr(text); err == nil {
			if a.Unmap().Is4() {
				return "ipv4"
			}
			return "ipv6"
		}
	}
	return ""
}

// begun is when the work that an event tells of began.
func begun(e Event) int64 {
	took, err := strconv.ParseInt(e.Data["took_ns"], 10, 64)
	if err != nil || took < 0 {
		return e.T
	}
	return e.T - took
}

// within returns the events in (after, until]; they are sorted.
func within(events []Event, after, until int64) []Event {
	from, _ := slices.BinarySearchFunc(events, after+1, func(e Event, t int64) int { return cmp.Compare(e.T, t) })
	to, _ := slices.BinarySearchFunc(events, until+1, func(e Event, t int64) int { return cmp.Compare(e.T, t) })
	if to < from {
		return nil
	}
	return events[from:to]
}

// repairOf finds the programming that ended an outage: at the node whose way
// to the flow's destination changed at its end, if one did, else at any.
func repairOf(events []Event, o Outage, interval time.Duration) (Event, bool) {
	from := o.Start + int64(o.Min) - int64(interval) // the last lost packet, less an interval
	way, _ := first(events, "", func(kind string) bool { return kind == fibChange }, from+1, math.MaxInt64)
	var before Event
	found := false
	for _, e := range events {
		switch {
		case !isProgramming(e.Kind):
		case e.T <= from:
			before, found = e, true
		case way.Node == "" || e.Node == way.Node:
			return e, true
		}
	}
	return before, found
}

// detection finds the first evidence of the cause up to an instant, at this
// node if it has any.
func detection(events []Event, c cause, node string, until int64) (Event, bool) {
	is := isDetection
	if c.heal {
		is = isRestoration
	}
	if node != "" {
		if e, ok := first(events, node, is, c.call, until); ok {
			return e, true
		}
	}
	return first(events, "", is, c.call, until)
}

// decision finds when a node first began to act. What it began in time may
// have ended, and been told, after the kernel told of its effect.
func decision(events []Event, node string, from, until int64) (t int64, ok bool) {
	for _, e := range events {
		if e.Node == node && e.T >= from && isDecision(e.Kind) && begun(e) <= until && (!ok || begun(e) < t) {
			t, ok = begun(e), true
		}
	}
	return t, ok
}

// first returns the first event of these kinds in [from, until], at any node if node is "".
func first(events []Event, node string, is func(kind string) bool, from, until int64) (Event, bool) {
	for _, e := range events {
		if e.T >= from && e.T <= until && (node == "" || e.Node == node) && is(e.Kind) {
			return e, true
		}
	}
	return Event{}, false
}

// last returns the last event of a kind at a node up to an instant.
func last(events []Event, node, kind string, until int64) (Event, bool) {
	for _, e := range slices.Backward(events) {
		if e.T <= until && e.Node == node && e.Kind == kind {
			return e, true
		}
	}
	return Event{}, false
}

// FirstEvent returns the instant of the first event of a kind at or after an
// instant; node and key select if they are not empty.
func FirstEvent(run Run, kind, node, key string, after int64) (t int64, ok bool) {
	for _, e := range run.Events {
		if e.T < after || e.Kind != kind || node != "" && e.Node != node || key != "" && e.Key != key {
			continue
		}
		if !ok || e.T < t {
			t, ok = e.T, true
		}
	}
	return t, ok
}
