package probe

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
	"gwlab/reports/convergence"
)

// pipe is a pair of datagram sockets: packets without a network or root.
func pipe(t *testing.T) (in, out int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() {
		must(t, unix.Close(fds[0]))
		must(t, unix.Close(fds[1]))
	})
	return fds[0], fds[1]
}

// loops runs a sender and a receiver over pipes until every flow has sent
// this many packets.
func loops(t *testing.T, flows []Flow, packets uint64) (*sender, *receiver, []*record) {
	t.Helper()
	var (
		records  []*record
		byID     = make(map[uint16]*record)
		ins, out []int
	)
	for _, f := range flows {
		r := newRecord(10_000)
		in, o := pipe(t)
		records, byID[f.ID], ins, out = append(records, r), r, append(ins, in), append(out, o)
	}
	r := newReceiver(5, byID, out)
	s := newSender(5, tick, flows, ins, records)
	sent, received := make(chan error, 1), make(chan error, 1)
	start := monotime.Now()
	go func() { received <- r.loop() }()
	go func() { sent <- s.loop(start, start+int64(time.Minute)) }()
	for done := false; !done; {
		must(t, sleepUntil(monotime.Now()+msec))
		done = true
		for _, rec := range records {
			done = done && rec.sent.Load() >= packets
		}
	}
	s.stop.Store(true)
	must(t, <-sent)
	r.stop.Store(true)
	must(t, <-received)
	return s, r, records
}

// Every packet that was sent is received once, in order, after it was sent.
func TestLoops(t *testing.T) {
	flows := []Flow{goodFlow(3), goodFlow(4), goodFlow(500)}
	flows[1].Interval = 5 * time.Millisecond
	s, r, records := loops(t, flows, 20)
	for i, rec := range records {
		var f convergence.Flow
		rec.fill(&f)
		if f.Duplicates+f.Reordered != 0 || rec.received.Load() != uint64(len(f.Sent)) {
			t.Errorf("flow %d: %d of %d received", i, rec.received.Load(), len(f.Sent))
		}
		for k := range f.Sent {
			if f.Received[k] < f.Sent[k] || k > 0 && f.Sent[k] <= f.Sent[k-1] {
				t.Errorf("flow %d packet %d: sent %d, received %d", i, k, f.Sent[k], f.Received[k])
			}
		}
	}
	if r.foreign != 0 || s.fitness.sendErrors != 0 || s.fitness.noBuffers != 0 {
		t.Errorf("%d foreign, %+v", r.foreign, s.fitness)
	}
}

// The sender ends by itself at its end.
func TestLoopEnds(t *testing.T) {
	in, _ := pipe(t)
	rec := newRecord(100)
	s := newSender(1, tick, []Flow{goodFlow(1)}, []int{in}, []*record{rec})
	start := monotime.Now()
	must(t, s.loop(start, start+10*msec))
	if n := rec.sent.Load(); n > 10 {
		t.Errorf("%d packets in 10 ms", n)
	}
}

// A socket that takes nothing more is a send error, and the packet is sent
// for all that the measurement knows.
func TestRefusedSendsCountAsSent(t *testing.T) {
	in, out := pipe(t)
	rec := newRecord(10_000)
	s := newSender(1, tick, []Flow{goodFlow(1)}, []int{in}, []*record{rec})
	var b [PacketSize]byte
	for s.fitness.sendErrors == 0 && rec.sent.Load() < 10_000 {
		s.send(&s.streams[0], &b) // until the queue is full
	}
	if s.fitness.sendErrors != 1 || s.fitness.noBuffers != 0 {
		t.Errorf("%+v", s.fitness)
	}
	r := newReceiver(1, map[uint16]*record{1: rec}, []int{out})
	must(t, r.drain(&r.boxes[0]))
	if sent, received := rec.sent.Load(), rec.received.Load(); sent != received+1 {
		t.Errorf("%d sent, %d received", sent, received)
	}
}

// An ICMP error about one packet must not cost the next one: to a closed
// port, all that is sent leaves the host.
func TestPendingErrorCostsNoPacket(t *testing.T) {
	bed := newBed(t)
	spec := Spec{Flows: bed.Flows(1, time.Millisecond)[:1], Limit: time.Second}
	ends, err := spec.prepare()
	must(t, err)
	p, err := newTester(spec, ends)
	must(t, err)
	t.Cleanup(func() { must(t, p.close()) })
	must(t, unix.Close(p.sockets[0])) // the receiver's
	p.sockets = p.sockets[1:]
	before, _, err := bed.cables.Counters(bedLink)
	must(t, err)
	start := monotime.Now()
	must(t, p.sender.loop(start, start+200*msec))
	after, _, err := bed.cables.Counters(bedLink)
	must(t, err)
	// ARP may add a packet or two, nothing may be missing.
	if sent, passed := p.records[0].sent.Load(), after.Passed-before.Passed; passed < sent || sent == 0 {
		t.Errorf("%d sent, %d left", sent, passed)
	}
}
