package bgp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"gwlab/gateway/config"
)

// listening gives a peer of a tableRouter a session that nobody writes out.
func listening(t *testing.T, p *peer) *session {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	p.conn, p.out = newSession(1, p, a, netip.Prefix{}), newAdjOut()
	return p.conn
}

// takeQueued returns what is queued for the peer, as if it were sent.
func (s *session) takeQueued() map[netip.Prefix]*advert {
	s.mu.Lock()
	defer s.mu.Unlock()
	queued := s.pending
	s.pending = map[netip.Prefix]*advert{}
	return queued
}

func (r *Router) workAll() {
	for r.work() {
	}
}

// A session that ends while the paths not told again are swept is not synced.
func TestSyncedIsNotToldOfAnEndedSession(t *testing.T) {
	r := tableRouter(t, nil)
	p := r.named("a")
	p.retain = true
	p.endOfRIBReceived()
	p.down("gone", false)
	r.workAll()
	for _, told := range r.emit.queue {
		if told.peer != nil && told.peer.Up {
			t.Errorf("told %+v of a session that had ended", *told.peer)
		}
	}
}

// A change of policy while a peer restarts counts the paths kept for it.
func TestReimportOfRetainedPathsIsCounted(t *testing.T) {
	r := tableRouter(t, nil)
	p := r.named("a")
	p.receive(&update{reach: []netip.Prefix{prefix("203.0.113.0/24"), prefix("198.51.100.0/24")}, attrs: attrsVia(p, "65010", nil)})
	p.open.gr, p.open.restart = true, time.Hour
	p.down("gone", true)
	for _, want := range []struct {
		rules []config.PrefixRule
		count int
	}{{[]config.PrefixRule{}, 0}, {[]config.PrefixRule{{Prefix: prefix("203.0.113.0/24")}}, 1}, {nil, 2}} {
		n := p.cfg
		n.Import.Prefixes = want.rules
		p.adjust(n)
		r.workAll()
		if got := p.status().Received; got != want.count {
			t.Errorf("%v: %d received, want %d", want.rules, got, want.count)
		}
	}
}

// A route that goes between a route refresh and its answer is withdrawn all
// the same: the peer still has it.
func TestWithdrawnDuringRouteRefresh(t *testing.T) {
	r := tableRouter(t, nil)
	to, from := r.named("a"), r.named("c")
	conn := listening(t, to)
	stays, goes := prefix("203.0.113.0/24"), prefix("198.51.100.0/24")
	from.receive(&update{reach: []netip.Prefix{stays, goes}, attrs: attrsVia(from, "65020", nil)})
	if n := len(conn.takeQueued()); n != 2 {
		t.Fatalf("%d prefixes told, want 2", n)
	}
	to.refresh()
	from.receive(&update{withdrawn: []netip.Prefix{goes}})
	r.workAll()
	queued := conn.takeQueued()
	if a, ok := queued[goes]; !ok || a != nil {
		t.Errorf("%s was not withdrawn: %v", goes, queued)
	}
	if queued[stays] == nil || len(queued) != 2 || to.out.count != 1 {
		t.Errorf("queued %v, %d told; want %s again", queued, to.out.count, stays)
	}
}
