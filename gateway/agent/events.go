package agent

import (
	"strconv"
	"strings"
	"time"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/event"
	"gwlab/gateway/kernel"
	"gwlab/internal/monotime"
)

// mendedShown bounds how many of an audit's findings an event carries.
const mendedShown = 20

func (a *Agent) emitHappening(h happening) {
	switch {
	case h.bfd != nil:
		a.emitBFD(*h.bfd)
	case h.link != nil:
		a.emitLink(*h.link)
	default: // the others are told where they come in
	}
}

// emitBFD tells that a session came up or left Up; the steps between are nobody's concern.
func (a *Agent) emitBFD(c bfd.Change) {
	data := map[string]string{
		"interface":    c.Key.Interface,
		"peer":         a.neighbor(c.Key.Peer).Name,
		"remote_state": c.RemoteState.String(),
	}
	kind := event.BFDUp
	switch {
	case c.State == bfd.Up:
	case c.Old == bfd.Up:
		kind = event.BFDDown
		data["diag"] = c.Diag.String()
		data["last_rx_ns"] = strconv.FormatInt(c.LastRx, 10)
		data["detect_ns"] = ns(c.DetectTime)
	default:
		return
	}
	a.deps.Events.Emit(event.Event{T: c.At, Kind: kind, Key: c.Key.Peer.String(), Data: data})
}

func (a *Agent) emitLink(e kernel.LinkEvent) {
	kind := event.LinkDown
	if e.Up {
		kind = event.LinkUp
	}
	a.deps.Events.Emit(event.Event{T: e.At, Kind: kind, Key: e.Interface, Data: map[string]string{"interface": e.Interface}})
}

func (a *Agent) emitRepair(r Repair) {
	a.deps.Events.Emit(event.Event{T: r.At, Kind: event.Repair, Key: r.NextHop.Addr.String(), Data: map[string]string{
		"cause":   r.Cause,
		"nexthop": r.NextHop.String(),
		"groups":  strconv.Itoa(r.Groups),
		"took_ns": ns(r.Took),
	}})
}

func (a *Agent) emitPeer(e bgp.PeerEvent) {
	n := a.neighbor(e.Peer)
	data := map[string]string{"peer": n.Name}
	kind := event.BGPDown
	switch {
	case e.Synced:
		kind = event.BGPSynced
		data["family"] = "all"
	case e.Up:
		kind = event.BGPUp
		data["asn"] = strconv.FormatUint(uint64(n.ASN), 10)
	default:
		data["reason"] = e.Reason
		data["stale"] = strconv.FormatBool(e.Stale)
	}
	a.deps.Events.Emit(event.Event{T: e.At, Kind: kind, Key: e.Peer.String(), Data: data})
}

func (a *Agent) emitBest(u bgp.Update) {
	a.deps.Events.Emit(event.Event{T: u.At, Kind: event.BestPath, Data: map[string]string{
		"changed":   strconv.Itoa(len(u.Set)),
		"withdrawn": strconv.Itoa(len(u.Delete)),
	}})
}

func programmed(a kernel.Applied) event.Event {
	return event.Event{T: monotime.Now(), Kind: event.Program, Data: map[string]string{
		"routes":   strconv.Itoa(a.Routes),
		"nexthops": strconv.Itoa(a.NextHops),
		"groups":   strconv.Itoa(a.Groups),
		"took_ns":  ns(a.Took),
	}}
}

func mended(findings []string) event.Event {
	return event.Event{T: monotime.Now(), Kind: event.Mended, Data: map[string]string{
		"count": strconv.Itoa(len(findings)),
		"what":  strings.Join(findings[:min(len(findings), mendedShown)], "; "),
	}}
}

func swept(routes int, why string) event.Event {
	return event.Event{T: monotime.Now(), Kind: event.Swept, Data: map[string]string{
		"routes": strconv.Itoa(routes),
		"after":  why,
	}}
}

func ns(d time.Duration) string { return strconv.FormatInt(int64(d), 10) }
