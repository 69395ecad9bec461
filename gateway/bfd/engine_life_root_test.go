package bfd

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTimerChangeByPollKeepsTheSession(t *testing.T) {
	g := newGround(t)
	a, b := bothUp(t, g, params(20*time.Millisecond))
	before := a.status(t, addrB4).Transitions + b.status(t, addrA4).Transitions
	for _, interval := range []time.Duration{200 * time.Millisecond, 10 * time.Millisecond} {
		a.Set(map[Key]Params{key4(addrA4, addrB4): params(interval)})
		want := max(interval, 20*time.Millisecond)
		until(t, "the new interval on both sides", func() bool {
			sa, sb := a.status(t, addrB4), b.status(t, addrA4)
			return sa.TxInterval == want && sb.TxInterval == want && sa.DetectTime == 3*want && sb.DetectTime == 3*want
		})
	}
	if after := a.status(t, addrB4).Transitions + b.status(t, addrA4).Transitions; after != before {
		t.Errorf("the changes cost the session: %d transitions before, %d after", before, after)
	}
}

func TestRemovedSessionAndEndedEngineSayAdminDown(t *testing.T) {
	g := newGround(t)
	a, b := bothUp(t, g, params(200*time.Millisecond))
	a.Set(nil)
	if own := a.await(t, addrB4, AdminDown); own.Diag != DiagAdminDown || own.PathFailed() {
		t.Errorf("own change: %+v", own)
	}
	down := b.await(t, addrA4, Down)
	if down.RemoteState != AdminDown || down.PathFailed() {
		t.Errorf("removed: the peer sees %+v", down)
	}
	if left := a.Status(); len(left) != 0 {
		t.Errorf("left after Set(nil): %+v", left)
	}

	a.Set(map[Key]Params{key4(addrA4, addrB4): params(200 * time.Millisecond)})
	b.await(t, addrA4, Up)
	a.stop()
	down = b.await(t, addrA4, Down)
	if down.RemoteState != AdminDown || down.PathFailed() {
		t.Errorf("engine ended: the peer sees %+v", down)
	}
	if st := a.Status(); st != nil {
		t.Errorf("status of an ended engine: %+v", st)
	}
	if err := a.Run(t.Context()); err == nil {
		t.Error("Run works twice")
	}
}

// The interface goes away, and one of the same name comes back.
func TestInterfaceVanishesAndReturns(t *testing.T) {
	g := newGround(t)
	a, b := bothUp(t, g, params(20*time.Millisecond))
	run(t, "", "ip", "-n", g.a, "link", "del", "up0")
	a.await(t, addrB4, Down)
	b.await(t, addrA4, Down)
	g.addCable(t)
	a.await(t, addrB4, Up)
	b.await(t, addrA4, Up)
}

func TestSessionWaitsForItsInterface(t *testing.T) {
	g := newGround(t)
	run(t, "", "ip", "-n", g.a, "link", "del", "up0")
	a, b := start(t, g.a), start(t, g.b)
	a.Set(map[Key]Params{key4(addrA4, addrB4): params(20 * time.Millisecond), key4(addrA6, addrB6): params(20 * time.Millisecond)})
	b.Set(map[Key]Params{key4(addrB4, addrA4): params(20 * time.Millisecond), key4(addrB6, addrA6): params(20 * time.Millisecond)})
	if st := a.status(t, addrB4); st.TxErrors == 0 || st.Tx != 0 {
		t.Errorf("without an interface: %+v", st)
	}
	g.addCable(t)
	a.await(t, addrB4, Up)
	until(t, "IPv6 up", func() bool { return a.status(t, addrB6).State == "up" })
}

func TestCarrierLossAndReturn(t *testing.T) {
	g := newGround(t)
	a, b := bothUp(t, g, params(20*time.Millisecond))
	run(t, "", "ip", "-n", g.b, "link", "set", "up0", "down")
	a.await(t, addrB4, Down)
	b.await(t, addrA4, Down)
	began := time.Now()
	run(t, "", "ip", "-n", g.b, "link", "set", "up0", "up")
	a.await(t, addrB4, Up)
	t.Logf("up %v after the link, command included", time.Since(began))
}

// Packets that a stranger could send: wrong distance, unknown discriminator,
// unknown sender, rubbish. None touches the session, each is counted.
func TestStrangersAreCountedAndDropped(t *testing.T) {
	g := newGround(t)
	a, _ := bothUp(t, g, params(50*time.Millisecond))
	before := a.status(t, addrB4)
	evil := Packet{State: Down, DetectMult: 1, MyDisc: 1, YourDisc: before.LocalDisc, DesiredMinTx: 1, RequiredMinRx: 1}
	unknown := evil
	unknown.YourDisc++
	send := func(ttl int, from netip.Addr, payload []byte) {
		t.Helper()
		if err := inNamespace(g.b, func() error { return sendOnce(ttl, from, addrA4, payload) }); err != nil {
			t.Fatal(err)
		}
	}
	send(254, addrB4, wire(evil))     // RFC 5881 §5
	send(255, addrB4, []byte("junk")) // RFC 5880 §6.8.6
	until(t, "two drops booked on the session", func() bool { return a.status(t, addrB4).Dropped == before.Dropped+2 })
	stray := a.Stray()
	send(255, addrB4, wire(unknown))
	until(t, "a stray packet", func() bool { return a.Stray() == stray+1 })
	if st := a.status(t, addrB4); st.State != "up" || st.Transitions != before.Transitions {
		t.Errorf("a stranger moved the session: %+v", st)
	}
}

// inNamespace runs f on a thread that dies in the namespace.
func inNamespace(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		lockForever()
		if err := enter(ns); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func sendOnce(ttl int, from, to netip.Addr, payload []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}); err != nil {
		return err
	}
	return unix.Sendto(fd, payload, 0, &unix.SockaddrInet4{Addr: to.As4(), Port: controlPort})
}

func TestPortTakenIsAnError(t *testing.T) {
	g := newGround(t)
	start(t, g.a)
	other, err := New(Deps{Changes: func(Change) {}, Enter: func() error { return enter(g.a) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := other.Run(ctx); err == nil {
		t.Error("two engines share a port")
	} else {
		t.Log(err)
	}
}
