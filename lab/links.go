package lab

import (
	"fmt"
	"sync"

	"gwlab/fault"
	"gwlab/internal/monotime"
	"gwlab/lab/cable"
	"gwlab/lab/netns"
	"gwlab/topologies"
)

// links is the lab's hand on its cables and ports. What a link does is what
// it was told to, overruled by a powered-off node or a port that was set down
// at either end.
type links struct {
	lab    string
	topo   *topologies.Topology
	cables *cable.Cables

	mu   sync.Mutex
	told map[*topologies.Link]fault.CableState
	off  map[*topologies.Node]power
	down map[*topologies.Port]bool
}

// power of a node that is off.
type power struct{ silent bool }

func whole() fault.CableState {
	return fault.CableState{AtoB: fault.PassAll, BtoA: fault.PassAll, Carrier: true}
}

func newLinks(lab string, t *topologies.Topology, cables *cable.Cables) *links {
	l := &links{lab: lab, topo: t, cables: cables,
		told: make(map[*topologies.Link]fault.CableState), off: make(map[*topologies.Node]power), down: make(map[*topologies.Port]bool)}
	for _, link := range t.Links {
		l.told[link] = whole()
	}
	return l
}

// spec of all links of a lab, for cable.Build.
func linkSpec(lab string, t *topologies.Topology) cable.Spec {
	spec := cable.Spec{Middle: netns.Path(namespaceName(lab, middleNode))}
	end := func(p *topologies.Port) cable.End {
		return cable.End{Netns: netns.Path(namespaceName(lab, p.Node.Name)), Name: p.Name, Index: p.Index, Addresses: p.Addresses, Up: true}
	}
	for _, l := range t.Links {
		spec.Links = append(spec.Links, cable.Link{Name: l.String(), Type: cable.Type(l.Type), MTU: l.MTU, A: end(l.A), B: end(l.B)})
	}
	for _, n := range t.Nodes {
		spec.Netns = append(spec.Netns, netns.Path(namespaceName(lab, n.Name)))
	}
	return spec
}

func (l *links) port(e topologies.Endpoint) (*topologies.Port, error) {
	p := l.topo.Port(e)
	if p == nil {
		return nil, fmt.Errorf("no port %q in lab %s", e, l.lab)
	}
	return p, nil
}

func (l *links) path(n *topologies.Node) string { return netns.Path(namespaceName(l.lab, n.Name)) }

// effective is what a link does now; mu is held.
func (l *links) effective(link *topologies.Link) fault.CableState {
	s := l.told[link]
	for _, p := range []*topologies.Port{link.A, link.B} {
		if off, is := l.off[p.Node]; is {
			s.AtoB, s.BtoA = fault.PassNone, fault.PassNone
			s.Carrier = s.Carrier && off.silent
		}
		if l.down[p] {
			s = fault.CableState{AtoB: fault.PassNone, BtoA: fault.PassNone}
		}
	}
	return s
}

// set tells a cable what to do.
func (l *links) set(e topologies.Endpoint, s fault.CableState) (fault.Effect, error) {
	p, err := l.port(e)
	if err != nil {
		return fault.Effect{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.told[p.Link]
	l.told[p.Link] = s
	effect, err := l.cables.Set(p.Link.String(), l.effective(p.Link))
	if err != nil {
		l.told[p.Link] = before
	}
	return effect, err
}

// state is what a link does now, for people.
func (l *links) state(link *topologies.Link) fault.CableState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.effective(link)
}

func (l *links) counters(e topologies.Endpoint) (bothCounters, error) {
	p, err := l.port(e)
	if err != nil {
		return bothCounters{}, err
	}
	a, b, err := l.cables.Counters(p.Link.String())
	return bothCounters{a, b}, err
}

// setPower changes what a node's power does to all of its cables, in one act.
// The bare pairs are left to the ports.
func (l *links) setPower(n *topologies.Node, off *power) (fault.Effect, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, was := l.off[n]
	if off != nil {
		l.off[n] = *off
	} else {
		delete(l.off, n)
	}
	var changes []cable.Change
	for _, p := range n.Ports {
		if off == nil {
			delete(l.down, p) // a machine that boots sets its ports up
		}
		if cable.Type(p.Link.Type) == cable.Cable {
			changes = append(changes, cable.Change{Link: p.Link.String(), State: l.effective(p.Link), BFirst: p.Link.A == p})
		}
	}
	if len(changes) == 0 {
		now := monotime.Now()
		return fault.Effect{Call: now, Return: now}, nil
	}
	effect, err := l.cables.SetMany(changes...)
	if err != nil {
		delete(l.off, n)
		if was {
			l.off[n] = before
		}
	}
	return effect, err
}

// setPort sets a port administratively up or down. The other end of a cable
// loses carrier with it, as it does when a transmitter is switched off; the
// kernel sees to that only for a bare pair.
func (l *links) setPort(e topologies.Endpoint, up bool) (fault.Effect, error) {
	p, err := l.port(e)
	if err != nil {
		return fault.Effect{}, err
	}
	if cable.Type(p.Link.Type) != cable.Cable {
		return cable.SetPort(l.path(p.Node), p.Name, up)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if up { // the port first: what it sends then must find its way
		if _, err := cable.SetPort(l.path(p.Node), p.Name, true); err != nil {
			return fault.Effect{}, err
		}
	}
	was := l.down[p]
	l.down[p] = !up
	effect, err := l.cables.SetMany(cable.Change{Link: p.Link.String(), State: l.effective(p.Link), BFirst: p.Link.A == p})
	if err != nil {
		l.down[p] = was
		return fault.Effect{}, err
	}
	if !up {
		_, err = cable.SetPort(l.path(p.Node), p.Name, false)
	}
	return effect, err
}

// setPorts sets all ports of a node.
func (l *links) setPorts(n *topologies.Node, up bool) error {
	for _, p := range n.Ports {
		if _, err := cable.SetPort(l.path(n), p.Name, up); err != nil {
			return err
		}
	}
	return nil
}

func (l *links) carrier(e topologies.Endpoint) (carrierAnswer, error) {
	p, err := l.port(e)
	if err != nil {
		return carrierAnswer{}, err
	}
	up, err := cable.Carrier(l.path(p.Node), p.Name)
	return carrierAnswer{up}, err
}
