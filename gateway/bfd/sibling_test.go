package bfd

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A session that hears its peer again makes the others of its interface speak
// at once, and no other interface's.
func TestARevivedSessionGreetsItsSiblings(t *testing.T) {
	th, p, _ := idleThread(t)
	beside := func(iface string, ifindex int32) (*peer, int) {
		q := th.newPeer(Key{Interface: iface, Local: addrA6, Peer: addrB6}, Params{})
		pipe, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		q.ifindex, q.fd, q.running = ifindex, pipe[0], true
		t.Cleanup(func() { q.closeSocket(); unix.Close(pipe[1]) })
		th.peers = append(th.peers, q)
		return q, pipe[1]
	}
	_, sibling := beside("up0", 101)
	_, stranger := beside("up1", 102)

	th.deliver(from(p, Down), 1000, 1000)
	if p.session.state != Init {
		t.Fatalf("state %v, want init", p.session.state)
	}
	if n := packets(sibling); n != 1 {
		t.Errorf("the sibling sent %d packets, want 1", n)
	}
	if n := packets(stranger); n != 0 {
		t.Errorf("another interface's session sent %d packets", n)
	}
	th.deliver(from(p, Init), 2000, 2000)
	if n := packets(sibling); p.session.state != Up || n != 0 {
		t.Errorf("state %v; init to up made the sibling send %d packets more", p.session.state, n)
	}
}

func packets(fd int) (n int) {
	var buf [64]byte
	for {
		if _, err := unix.Read(fd, buf[:]); err != nil {
			return n
		}
		n++
	}
}
