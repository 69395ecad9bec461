package cable

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/lab/netns"
)

// waitFor polls until something holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// flow is a UDP socket at each end of link 0, connected to one another.
type flow struct{ a, b int }

func newFlow(t *testing.T, s Spec) flow {
	t.Helper()
	l := s.Links[0]
	// Resolve the neighbours, so that no packet waits for it.
	ping(t, l.A.Netns, l.B.Addresses[0].Addr().String())
	ping(t, l.B.Netns, l.A.Addresses[0].Addr().String())
	return flow{udp(t, l.A, l.B), udp(t, l.B, l.A)}
}

func udp(t *testing.T, local, remote End) int {
	t.Helper()
	fd := -1
	err := netns.Do(local.Netns, func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		const port = 5000
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: local.Addresses[0].Addr().As4()}); err != nil {
			return err
		}
		return unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: remote.Addresses[0].Addr().As4()})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func (f flow) send(t *testing.T, fd, n int) {
	t.Helper()
	for range n {
		if _, err := unix.Write(fd, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
}

// expect waits for n packets.
func (f flow) expect(t *testing.T, fd, n int) {
	t.Helper()
	got := 0
	waitFor(t, "packets", func() bool { got += f.pending(fd); return got >= n })
	if got != n {
		t.Fatalf("%d packets, want %d", got, n)
	}
}

// pending takes what has arrived.
func (f flow) pending(fd int) int {
	buf := make([]byte, 200)
	for n := 0; ; n++ {
		if _, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); err != nil {
			return n
		}
	}
}

// Large segments with checksums left to the card cross two veths and a
// redirect whole.
func TestTCPPassesThroughACable(t *testing.T) {
	needRoot(t)
	for i, family := range []string{"ipv4", "ipv6"} {
		t.Run(family, func(t *testing.T) {
			s := pair(t, Cable, 1)
			c := build(t, s)
			bytes := transfer(t, s, s.Links[0].B.Addresses[i].Addr(), 200*time.Millisecond)
			if bytes == 0 {
				t.Fatal("no byte came through")
			}
			ab, _ := counters(t, c, "l0")
			if ab.Passed < uint64(bytes/1500) || ab.Dropped != 0 {
				t.Errorf("%d bytes, but the gate counted %+v", bytes, ab)
			}
			t.Logf("%.1f Gbit/s", float64(bytes)*8/0.2/1e9)
		})
	}
}

// transfer sends by TCP from A for a while and returns what B received.
func transfer(t *testing.T, s Spec, to netip.Addr, d time.Duration) int64 {
	t.Helper()
	l := s.Links[0]
	var server net.Listener
	var client net.Conn
	err := netns.Do(l.B.Netns, func() (err error) {
		server, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(to, 0)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	received := make(chan int64, 1)
	go func() {
		conn, err := server.Accept()
		if err != nil {
			received <- 0
			return
		}
		n, _ := io.Copy(io.Discard, conn)
		_ = conn.Close()
		received <- n
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err = netns.Do(l.A.Netns, func() (err error) {
		client, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, "tcp", server.Addr().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = client.SetDeadline(time.Now().Add(d))
	buf := make([]byte, 128<<10)
	for {
		if _, err := client.Write(buf); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
				t.Error(err)
			}
			break
		}
	}
	_ = client.Close()
	return <-received
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
