package monotime

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNowIsTheKernelsClock(t *testing.T) {
	for range 1000 {
		before := read(unix.CLOCK_MONOTONIC)
		now := Now()
		after := read(unix.CLOCK_MONOTONIC)
		// The pairing at start is exact to its own width, well below this.
		const slack = int64(50 * time.Microsecond)
		if now < before-slack || now > after+slack {
			t.Fatalf("Now %d outside [%d, %d]", now, before, after)
		}
	}
}

func TestNowNeverRunsBack(t *testing.T) {
	last := Now()
	for range 100_000 {
		now := Now()
		if now < last {
			t.Fatalf("%d after %d", now, last)
		}
		last = now
	}
}

func TestOfAgreesWithNow(t *testing.T) {
	before := Now()
	at := Of(time.Now())
	after := Now()
	if at < before || at > after {
		t.Errorf("Of %d outside [%d, %d]", at, before, after)
	}
	if d := Of(time.Now().Add(time.Hour)) - Now(); d < int64(time.Hour-time.Second) || d > int64(time.Hour) {
		t.Errorf("an hour ahead is %v", time.Duration(d))
	}
}

func TestRealOffsetPlacesTheWallClock(t *testing.T) {
	real := read(unix.CLOCK_REALTIME)
	mono := read(unix.CLOCK_MONOTONIC)
	if d := real - RealOffset() - mono; d < -int64(time.Millisecond) || d > int64(time.Millisecond) {
		t.Errorf("off by %v", time.Duration(d))
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
