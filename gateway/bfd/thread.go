package bfd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// thread is what the packet thread owns; nothing else touches it.
type thread struct {
	engine    *Engine
	log       *journal
	rand      *rand.Rand
	peers     []*peer
	byDisc    map[uint32]*peer
	listeners []*listener
	links     int // rtnetlink socket: links and addresses come and go
	fds       []unix.PollFd
	timeout   unix.Timespec
	dry       int64 // when the listeners were last known to be empty
	event     event // the one under way; here, because on the stack it would escape
	scratch   []byte
}

// A thread that notices the end of a Detection Time later than ownLateness
// was held up, and so may the kernel have been that had to deliver a packet.
// It looks once more after secondLook before it believes in the silence.
const (
	ownLateness = int64(time.Millisecond)
	secondLook  = int64(2 * time.Millisecond)
)

// Places in thread.fds; the listeners follow.
const (
	fdWake = iota
	fdLinks
	fdListeners
)

func newThread(e *Engine, log *journal) (*thread, error) {
	t := &thread{
		engine:  e,
		log:     log,
		rand:    rand.New(e.deps.Rand),
		byDisc:  map[uint32]*peer{},
		links:   -1,
		scratch: make([]byte, 16384),
	}
	var err error
	if t.links, err = openLinks(); err != nil {
		return nil, err
	}
	t.fds = []unix.PollFd{
		fdWake:  {Fd: int32(e.wakeFD), Events: unix.POLLIN},
		fdLinks: {Fd: int32(t.links), Events: unix.POLLIN},
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		l, err := listen(family)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err != nil {
			t.close()
			return nil, err
		}
		t.listeners = append(t.listeners, l)
		t.fds = append(t.fds, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
	}
	t.dry = monotime.Now()
	return t, nil
}

func (t *thread) close() {
	unix.Close(t.links)
	for _, l := range t.listeners {
		unix.Close(l.fd)
	}
	for _, p := range t.peers {
		p.closeSocket()
	}
}

// run is the loop: wait, read what came, let the timers act.
//
// Only the wait gives the goroutine's processor (P) away. The short send and
// receive calls are raw system calls that keep it: a P lost there would have
// to be won back among the other goroutines, in the middle of the work.
func (t *thread) run(ctx context.Context) error {
	for ctx.Err() == nil {
		t.command()
		if err := t.wait(); err != nil {
			return err
		}
		if t.fds[fdLinks].Revents != 0 {
			t.drain(t.links)
			t.refresh()
		}
		t.noteLateness()
		t.receive()
		t.expireTimers()
	}
	t.reconcile(nil)
	return nil
}

// wait sleeps until a descriptor is ready or the next deadline has come.
func (t *thread) wait() error {
	var timeout *unix.Timespec
	if next, ok := t.nextDeadline(); ok {
		t.timeout = unix.NsecToTimespec(max(0, next-monotime.Now()))
		timeout = &t.timeout
	}
	_, err := unix.Ppoll(t.fds, timeout, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for bfd packets: %w", err)
	}
	return nil
}

func (t *thread) nextDeadline() (next int64, ok bool) {
	for _, p := range t.peers {
		if at := p.session.nextDeadline(); !ok || at < next {
			next, ok = at, true
		}
	}
	return next, ok
}

// noteLateness runs right after the wait: what is received may put a packet
// off that should have gone long ago, and hide it.
func (t *thread) noteLateness() {
	now := monotime.Now()
	for _, p := range t.peers {
		p.worstLate = max(p.worstLate, now-p.session.nextTx)
	}
}

// expireTimers runs after receive: a packet that arrived in time, however
// late this thread was to run, has moved its session's deadline by then.
func (t *thread) expireTimers() {
	for _, p := range t.peers {
		now := monotime.Now()
		if now < p.session.nextDeadline() {
			continue
		}
		if p.excuse(now) {
			continue
		}
		t.event.kind = evTimer
		t.step(p, now)
	}
}

// command takes the orders that came with a wake-up.
func (t *thread) command() {
	t.drain(t.engine.wakeFD)
	if want := t.engine.want.Swap(nil); want != nil {
		t.reconcile(*want)
	}
	for {
		select {
		case answer := <-t.engine.asks:
			answer <- t.status()
		default:
			return
		}
	}
}

// reconcile makes the peers exactly want.
func (t *thread) reconcile(want map[Key]Params) {
	have := make(map[Key]bool, len(t.peers))
	kept := t.peers[:0:0]
	for _, p := range t.peers {
		have[p.key] = true
		params, ok := want[p.key]
		if ok {
			t.event.kind, t.event.params = evParams, params
			t.step(p, monotime.Now())
			kept = append(kept, p)
			continue
		}
		t.event.kind = evAdminDown
		t.step(p, monotime.Now())
		p.closeSocket()
		delete(t.byDisc, p.session.localDisc)
	}
	for key, params := range want {
		if !have[key] {
			kept = append(kept, t.newPeer(key, params))
		}
	}
	slices.SortFunc(kept, func(a, b *peer) int {
		return cmp.Or(cmp.Compare(a.key.Interface, b.key.Interface), a.key.Peer.Compare(b.key.Peer),
			a.key.Local.Compare(b.key.Local))
	})
	t.peers = kept
	for _, p := range t.peers {
		if have[p.key] {
			continue
		}
		t.attach(p)
		t.event.kind = evStart
		t.step(p, monotime.Now())
	}
}

// newPeer gives the session a discriminator: at random, so that a restart
// does not take up an old session by chance (RFC 5880 §6.3).
func (t *thread) newPeer(key Key, params Params) *peer {
	disc := t.rand.Uint32()
	for disc == 0 || t.byDisc[disc] != nil {
		disc = t.rand.Uint32()
	}
	p := newPeer(key, newSession(disc, params, t.rand))
	t.byDisc[disc] = p
	return p
}

// step feeds t.event to a session and carries out what it answers.
func (t *thread) step(p *peer, now int64) {
	actions := p.session.Step(&t.event, now)
	revived := false
	for i := range actions {
		switch a := &actions[i]; a.kind {
		case actChange:
			revived = revived || a.old == Down && p.session.state > Down
			change := p.change(a.old, now)
			t.engine.deps.Changes(change)
			t.log.record(change, p)
		case actSend:
			sent := p.transmit(&a.packet) || t.attach(p) && p.transmit(&a.packet)
			if !sent {
				p.txErrors++
			}
		}
	}
	if revived {
		t.greetSiblings(p, now)
	}
}

// greetSiblings lets the other sessions of an interface speak up when one of
// them hears its peer again: the link works, and they need not wait out the
// second between two packets of a session that is down. It is one packet more
// for each revival, and ends by itself: greeting revives nobody.
func (t *thread) greetSiblings(revived *peer, now int64) {
	for _, p := range t.peers {
		if p != revived && p.ifindex == revived.ifindex {
			t.event.kind = evLink
			t.step(p, now)
		}
	}
}

func (t *thread) status() []Status {
	all := make([]Status, 0, len(t.peers))
	for _, p := range t.peers {
		all = append(all, p.status())
	}
	return all
}

// drain empties an eventfd or a netlink socket whose content does not matter.
func (t *thread) drain(fd int) {
	for {
		n, err := unix.Read(fd, t.scratch)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) {
			continue
		}
		if err != nil || n <= 8 {
			return
		}
	}
}
