package convergence

import (
	"sort"
	"time"
)

// window is one flow's packets of one phase: those sent in [start, end).
type window struct {
	flow       *Flow
	start, end int64 // the phase
	from, to   int   // packet indices [from, to)
	threshold  time.Duration
}

func newWindow(f *Flow, p Phase, threshold time.Duration) window {
	at := func(t int64) int { return sort.Search(len(f.Sent), func(i int) bool { return f.Sent[i] >= t }) }
	return window{flow: f, start: p.Start, end: p.End, from: at(p.Start), to: at(p.End), threshold: threshold}
}

func (w window) late(i int) bool {
	return w.flow.Received[i] != 0 && time.Duration(w.flow.Received[i]-w.flow.Sent[i]) > w.threshold
}

// lost says that packet i never came, or came after the Forwarding Delay
// Threshold (RFC 6412 section 3.7.5).
func (w window) lost(i int) bool { return w.flow.Received[i] == 0 || w.late(i) }

// outages returns the loss periods (RFC 3357) among the window's packets,
// each with the bounds that the send instants prove: the path failed after
// the last good packet before it was sent and before the first lost one was,
// and came back after the last lost one was sent and before the next good one
// was. An outage that reaches beyond the phase is cut at its edge, and open
// if it had not ended when the phase's last packet was sent.
func (w window) outages() []Outage {
	var list []Outage
	for i := w.from; i < w.to; i++ {
		if !w.lost(i) {
			continue
		}
		first := i
		for i+1 < w.to && w.lost(i+1) {
			i++
		}
		list = append(list, w.outage(first, i))
	}
	return list
}

// outage bounds the loss period of packets first..last.
func (w window) outage(first, last int) Outage {
	var (
		sent      = w.flow.Sent
		o         = Outage{Start: sent[first], Lost: last - first + 1}
		beganFrom = w.start
		beganTo   = sent[first]
	)
	if first > 0 {
		if w.lost(first - 1) {
			o.Start, beganTo = w.start, w.start
		} else {
			beganFrom = max(beganFrom, sent[first-1])
		}
	}
	o.End, o.Open = w.end, true
	if last+1 < w.to {
		o.End, o.Open = sent[last+1], false
	}
	o.Min = time.Duration(sent[last] - beganTo)
	o.Max = time.Duration(o.End - beganFrom)
	return o
}

// Duration is the best estimate of an outage's length, the middle of its
// bounds, and by how much the truth may differ from it either way.
func (o Outage) Duration() (estimate, uncertainty time.Duration) {
	return o.Min + (o.Max-o.Min)/2, (o.Max - o.Min + 1) / 2
}

// Outages are the loss periods of a flow among the packets sent within a phase.
func Outages(f Flow, p Phase, forwardingDelayThreshold time.Duration) []Outage {
	return newWindow(&f, p, forwardingDelayThreshold).outages()
}

// StallAtEdge returns a pause of the sender within which the outage began or
// ended: its bounds are then wider than a packet interval, and not worth a
// statement. nil if there is none.
func StallAtEdge(f Flow, o Outage, stalls []Stall) *Stall {
	began, ended := edges(f, o)
	for i, s := range stalls {
		if s.Start < began.End && s.End > began.Start || s.Start < ended.End && s.End > ended.Start {
			return &stalls[i]
		}
	}
	return nil
}

// edges are the stretches between the good packet and the lost one on either
// side of an outage.
func edges(f Flow, o Outage) (began, ended Stall) {
	first := sort.Search(len(f.Sent), func(i int) bool { return f.Sent[i] >= o.Start })
	next := sort.Search(len(f.Sent), func(i int) bool { return f.Sent[i] >= o.End })
	began, ended = Stall{o.Start, o.Start}, Stall{o.End, o.End}
	if first > 0 {
		began.Start = f.Sent[first-1]
	}
	if next > 0 {
		ended.Start = f.Sent[next-1]
	}
	return began, ended
}
