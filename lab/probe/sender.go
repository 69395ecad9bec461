package probe

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// stream is one flow as the sender sees it.
type stream struct {
	id     uint16
	fd     int
	gap    int64 // the flow's interval, ns
	due    int64 // of the next packet, ns after the start
	last   int64 // instant of the last send, 0 for none
	record *record
}

// sender sends every stream's packets on one grid of absolute deadlines.
// What is overdue after a stall is sent once, not made up for: a burst would
// measure the queues, and the record has the true send instants.
type sender struct {
	run     uint64
	grid    time.Duration
	streams []stream
	fitness fitness
	stop    atomic.Bool
}

// newSender staggers the flows over their intervals, so that flows slower
// than the grid do not all go at one tick.
func newSender(run uint64, grid time.Duration, flows []Flow, fds []int, records []*record) *sender {
	s := &sender{run: run, grid: grid, fitness: newFitness()}
	for i, f := range flows {
		gap := int64(f.Interval)
		s.streams = append(s.streams, stream{
			id: f.ID, fd: fds[i], gap: gap, due: gap * int64(i) / int64(len(flows)), record: records[i],
		})
	}
	return s
}

// loop sends from start until stop is set or end has come. It takes the
// calling goroutine's thread for itself and never gives it back, so the
// goroutine must end after it.
func (s *sender) loop(start, end int64) error {
	runtime.LockOSThread()
	s.fitness.realTime = becomeRealTime()
	var (
		buf  [PacketSize]byte
		next = start
	)
	for !s.stop.Load() && next < end {
		if err := sleepUntil(next); err != nil {
			return err
		}
		now := monotime.Now()
		s.fitness.late(time.Duration(now - next))
		// Due is judged by the tick, not by now: a wake-up a little late must
		// not move a flow from one tick to another.
		at := (now - start) / int64(s.grid) * int64(s.grid)
		for i := range s.streams {
			if st := &s.streams[i]; st.take(at) {
				s.send(st, &buf)
			}
		}
		next = start + at + int64(s.grid)
	}
	return nil
}

// take says whether a packet is due at the tick so many ns after the start,
// and if so makes the next one due on the flow's own grid, later than that.
func (s *stream) take(at int64) bool {
	if s.due > at || s.record.full() {
		return false
	}
	s.due += ((at-s.due)/s.gap + 1) * s.gap
	return true
}

func (s *sender) send(st *stream, buf *[PacketSize]byte) {
	now := monotime.Now()
	if st.last != 0 {
		s.fitness.paused(st.last, now, st.gap)
	}
	st.last = now
	seq := st.record.send(now)
	packet{Run: s.run, Flow: st.id, Seq: seq, Sent: now}.put(buf)
	_, err := unix.Write(st.fd, buf[:])
	if err != nil {
		// The first error may be an ICMP message about an earlier packet,
		// reported instead of sending this one.
		_, err = unix.Write(st.fd, buf[:])
	}
	switch {
	case err == nil:
	case errors.Is(err, unix.ENOBUFS):
		s.fitness.noBuffers++
	default:
		s.fitness.sendErrors++
	}
	if done := monotime.Now(); done-now > 2*st.gap {
		s.fitness.stalled(now, done)
	}
}

// sleepUntil sleeps to an instant of CLOCK_MONOTONIC.
func sleepUntil(t int64) error {
	ts := unix.NsecToTimespec(t)
	for {
		err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
