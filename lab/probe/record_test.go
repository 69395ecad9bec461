package probe

import (
	"testing"
	"time"

	"gwlab/reports/convergence"
)

const msec = int64(time.Millisecond)

func sentRecord(n int) *record {
	r := newRecord(uint64(n))
	for i := range n {
		r.send(int64(i+1) * msec)
	}
	return r
}

// An extra copy is a duplicate and an overtaken packet is reordered
// (RFC 4737); neither is a loss, and neither changes when a packet arrived.
func TestDuplicatesAndReorderingAreNotLoss(t *testing.T) {
	r := sentRecord(6)
	for i, seq := range []uint64{0, 2, 1, 1, 0, 3, 5, 4} {
		if !r.receive(seq, 100*msec+int64(i)) {
			t.Errorf("packet %d refused", seq)
		}
	}
	var f convergence.Flow
	r.fill(&f)
	if f.Duplicates != 2 || f.Reordered != 2 {
		t.Errorf("%d duplicates, %d reordered", f.Duplicates, f.Reordered)
	}
	if f.Duplicated[0] != 2*msec || f.Duplicated[1] != 1*msec {
		t.Errorf("duplicated %v", f.Duplicated)
	}
	want := []int64{0, 2, 1, 5, 7, 6}
	for i := range want {
		if f.Received[i] != 100*msec+want[i] || f.Sent[i] != int64(i+1)*msec {
			t.Errorf("packet %d: sent %d received %d", i, f.Sent[i], f.Received[i])
		}
	}
}

func TestUnsentPacketIsRefused(t *testing.T) {
	r := sentRecord(3)
	for _, seq := range []uint64{3, 1 << 40, 1<<64 - 1} {
		if r.receive(seq, 5) {
			t.Errorf("packet %d accepted", seq)
		}
	}
}

// The record grows over chunks, by itself or prepared, up to its limit.
func TestRecordOfManyChunks(t *testing.T) {
	const n = 3*chunkSize + 10
	r := newRecord(n)
	for i := range n {
		if i%1000 == 0 {
			r.prepare()
		}
		if seq := r.send(int64(i + 1)); !r.receive(seq, int64(i+2)) {
			t.Fatalf("packet %d refused", i)
		}
	}
	var f convergence.Flow
	r.fill(&f)
	for i := range n {
		if f.Sent[i] != int64(i+1) || f.Received[i] != int64(i+2) {
			t.Fatalf("packet %d: %d %d", i, f.Sent[i], f.Received[i])
		}
	}
	for !r.full() {
		r.send(1)
	}
	r.prepare()
}

func TestProgress(t *testing.T) {
	r := sentRecord(100) // at 1 … 100 ms
	receive := func(from, to int) {
		for i := from; i < to; i++ {
			r.receive(uint64(i), int64(i+1)*msec)
		}
	}
	receive(0, 50)
	receive(60, 100)
	for _, c := range []struct{ now, clean int64 }{
		{20 * msec, 0},        // nothing is old enough
		{21 * msec, 1 * msec}, // the first packet is, and it arrived
		{70 * msec, 1 * msec},
		{71 * msec, 0}, // packet 50, sent at 51 ms, is missing
		{80 * msec, 0},
		{81 * msec, 61 * msec}, // clean again since packet 60
		{200 * msec, 61 * msec},
	} {
		p := r.progress(7, c.now)
		if p.CleanSince != c.clean || p.ID != 7 || p.Sent != 100 || p.Received != 90 {
			t.Errorf("at %d ms: %+v, want clean since %d", c.now/msec, p, c.clean)
		}
	}
}
