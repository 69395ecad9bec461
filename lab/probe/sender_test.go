package probe

import (
	"slices"
	"testing"
	"time"
)

// ticks at which a flow of this interval sends, on a grid of 1 ms, when the
// sender wakes at these ticks.
func sends(due, interval int64, woken []int64) (at []int64) {
	s := stream{due: due, gap: interval, record: newRecord(1000)}
	for _, tick := range woken {
		if s.take(tick * msec) {
			at = append(at, tick)
		}
	}
	return at
}

func upTo(n int64) (ticks []int64) {
	for i := range n {
		ticks = append(ticks, i)
	}
	return ticks
}

func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		name          string
		due, interval int64
		woken, want   []int64
	}{
		{"every tick", 0, msec, upTo(5), []int64{0, 1, 2, 3, 4}},
		{"staggered within a tick", msec / 3, msec, upTo(5), []int64{1, 2, 3, 4}},
		{"slower, staggered", 2 * msec, 4 * msec, upTo(12), []int64{2, 6, 10}},
		{"no multiple of the tick", 0, 2500 * msec / 1000, upTo(12), []int64{0, 3, 5, 8, 10}},
		{"a missed tick is not made up for", 0, msec, []int64{0, 1, 5, 6}, []int64{0, 1, 5, 6}},
		{"a slow flow keeps its grid", 0, 4 * msec, []int64{0, 1, 2, 3, 6, 7, 8, 9}, []int64{0, 6, 8}},
	} {
		if got := sends(c.due, c.interval, c.woken); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFullRecordEndsAFlow(t *testing.T) {
	s := stream{gap: msec, record: newRecord(1)}
	for !s.record.full() {
		s.record.send(1)
	}
	if s.take(msec) {
		t.Error("sent beyond the record")
	}
}

func TestStagger(t *testing.T) {
	flows := []Flow{goodFlow(0), goodFlow(1), goodFlow(2), goodFlow(3)}
	for i := range flows {
		flows[i].Interval = 8 * time.Millisecond
	}
	s := newSender(1, tick, flows, make([]int, 4), make([]*record, 4))
	for i, st := range s.streams {
		if st.due != int64(i)*2*msec {
			t.Errorf("flow %d is first due at %v", i, time.Duration(st.due))
		}
	}
}
