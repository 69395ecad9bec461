package bgp

import (
	"net/netip"
	"slices"
)

// table is the Adj-RIBs-In of all peers and the Loc-RIB in one (RFC 4271
// §3.2): each prefix with every path to it.
type table struct {
	byPrefix map[netip.Prefix]*entry
	// slots holds the entries by their index, which is stable for the life of
	// an entry: walks resume by it and Adj-RIBs-Out are indexed by it.
	slots []*entry
	free  []int
}

// entry is one prefix.
type entry struct {
	prefix netip.Prefix
	index  int
	paths  []path // as received, before policy
	best   path   // peer nil: there is none
	group  *group // what the FIB was told; nil for nothing
	held   bool   // the FIB has no route yet: no peer may be told to send here
}

// path is one peer's route to a prefix. The attributes are those received:
// policy leaves its verdict beside them, so a change of policy needs no
// route refresh.
type path struct {
	peer     *peer
	attrs    *attributes
	pref     uint32 // local preference after import policy
	session  uint16 // of peer.session when it was learned
	accepted bool   // by import policy, loop and next hop checks
}

// alive: learned in the peer's current session, or in the last one while
// that peer restarts gracefully.
func (p path) alive() bool {
	return p.session == p.peer.session || (p.peer.retain && p.session == p.peer.session-1)
}

func (p path) eligible() bool { return p.accepted && p.alive() }

func newTable() *table { return &table{byPrefix: map[netip.Prefix]*entry{}} }

// entry finds a prefix's entry, or makes it.
func (t *table) entry(p netip.Prefix) *entry {
	if e, ok := t.byPrefix[p]; ok {
		return e
	}
	e := &entry{prefix: p, index: len(t.slots)}
	if n := len(t.free); n > 0 {
		e.index, t.free = t.free[n-1], t.free[:n-1]
		t.slots[e.index] = e
	} else {
		t.slots = append(t.slots, e)
	}
	t.byPrefix[p] = e
	return e
}

// release forgets an entry that no path leads to.
func (t *table) release(e *entry) {
	if len(e.paths) > 0 {
		return
	}
	delete(t.byPrefix, e.prefix)
	t.slots[e.index] = nil
	t.free = append(t.free, e.index)
}

func (e *entry) find(p *peer) int {
	return slices.IndexFunc(e.paths, func(x path) bool { return x.peer == p })
}

// put stores a peer's path, replacing its former one.
func (e *entry) put(p path) (replaced *path) {
	if i := e.find(p.peer); i >= 0 {
		old := e.paths[i]
		e.paths[i] = p
		return &old
	}
	if e.paths == nil {
		e.paths = make([]path, 0, 2)
	}
	e.paths = append(e.paths, p)
	return nil
}

func (e *entry) drop(i int) { e.paths = slices.Delete(e.paths, i, i+1) }

// job is work on the whole table, done in slices so that no session waits
// for it.
type job interface {
	// run works on up to n items and reports whether it is finished.
	run(n int) (done bool)
}

// walk visits every entry that was there when it began.
type walk struct {
	t     *table
	next  int
	visit func(*entry)
	after func() // may be nil
}

func (w *walk) run(n int) bool {
	for ; n > 0 && w.next < len(w.t.slots); n-- {
		if e := w.t.slots[w.next]; e != nil {
			w.visit(e)
		}
		w.next++
	}
	if w.next < len(w.t.slots) {
		return false
	}
	if w.after != nil {
		w.after()
	}
	return true
}
