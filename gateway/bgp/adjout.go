package bgp

import (
	"net/netip"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// advert is one block of attributes as a peer is told it, ready for the
// wire. Equal ones of a session are the same pointer.
type advert struct {
	nextHop netip.Addr
	block   []byte
}

// adjOut is the Adj-RIB-Out of one session: what the peer has been told, by
// the table's index of the prefix.
type adjOut struct {
	told  []*advert
	count int
	cache map[exportKey]*advert // nil value: not to be told
	known map[string]*advert
}

// exportKey is all that an export depends on besides the prefix.
type exportKey struct {
	attrs *attributes
	peer  *peer
	pref  uint32
}

func newAdjOut() *adjOut {
	return &adjOut{cache: map[exportKey]*advert{}, known: map[string]*advert{}}
}

// forget drops what was computed under a former policy; what was told stays.
func (o *adjOut) forget() { clear(o.cache) }

// advertise brings the peer up to date about one entry.
func (p *peer) advertise(e *entry) {
	if p.out == nil || familyOf(e.prefix.Addr()) != p.family {
		return
	}
	var want *advert
	if e.best.peer != nil && !e.held && p.exports.accepts(e.prefix) {
		want = p.advertOf(e.best)
	}
	if n := e.index + 1 - len(p.out.told); n > 0 {
		p.out.told = append(p.out.told, make([]*advert, n+n/2+64)...)
	}
	had := p.out.told[e.index]
	if had == want {
		return
	}
	p.out.told[e.index] = want
	switch {
	case had == nil:
		p.out.count++
	case want == nil:
		p.out.count--
	}
	p.conn.queue(e.prefix, want)
}

// advertOf is the advert of a best path for this peer; nil for none.
func (p *peer) advertOf(best path) *advert {
	key := exportKey{best.attrs, best.peer, best.pref}
	if a, ok := p.out.cache[key]; ok {
		return a
	}
	if len(p.out.cache) >= interned {
		clear(p.out.cache)
		clear(p.out.known)
	}
	var made *advert
	if attrs, ok := p.export(best); ok {
		block := attrs.encode(p.open.as4)
		id := string(block) + attrs.nextHop.String()
		if made = p.out.known[id]; made == nil && len(block) <= maxBlock {
			made = &advert{attrs.nextHop, block}
			p.out.known[id] = made
		}
	}
	p.out.cache[key] = made
	return made
}

// readvertise walks the whole table for the peer: at its start (then with
// End-of-RIB behind), and when the export policy changed.
func (p *peer) readvertise(after func()) job {
	return &walk{t: p.router.table, visit: p.advertise, after: after}
}

// refresh makes the peer be told everything again (RFC 2918 §4). It forgets
// nothing of what was told: a route that goes meanwhile must be withdrawn.
func (p *peer) refresh() {
	p.router.jobs = append(p.router.jobs, p.whileUp(&walk{t: p.router.table, visit: p.repeat}))
}

// repeat tells the peer once more what it was told about one entry.
func (p *peer) repeat(e *entry) {
	if e.index < len(p.out.told) && p.out.told[e.index] != nil {
		p.conn.queue(e.prefix, p.out.told[e.index])
	}
}

// endOfRIB builds the marker of the peer's family (RFC 4724 §2).
func endOfRIB(f family) []byte {
	return mustMessage(bgp.NewEndOfRib(f))
}
