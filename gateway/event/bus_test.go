package event

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func emit(b *Bus, from, to int64) {
	for t := from; t <= to; t++ {
		b.Emit(Event{T: t, Kind: Repair})
	}
}

func times(events []Event) []int64 {
	out := []int64{}
	for _, e := range events {
		out = append(out, e.T)
	}
	return out
}

// pending wants the events of these times next, after so many dropped ones.
func pending(t *testing.T, s *Subscription, dropped uint64, want ...int64) {
	t.Helper()
	events, missed := s.Pending()
	if diff := cmp.Diff(want, times(events), cmpopts.EquateEmpty()); diff != "" || missed != dropped {
		t.Errorf("%d dropped, want %d; events (-want +got):\n%s", missed, dropped, diff)
	}
}

func TestHistoryComesFirst(t *testing.T) {
	b := NewBus(4)
	emit(b, 1, 3)
	s := b.Subscribe(0)
	defer s.Close()
	pending(t, s, 0, 1, 2, 3)
	emit(b, 4, 5)
	pending(t, s, 0, 4, 5)
	pending(t, s, 0)
}

func TestLateSubscriberMissesNothingItWasPromised(t *testing.T) {
	b := NewBus(4)
	emit(b, 1, 10)
	s := b.Subscribe(0)
	defer s.Close()
	// What left the history before the subscription was never its own.
	pending(t, s, 0, 7, 8, 9, 10)
}

func TestSince(t *testing.T) {
	b := NewBus(8)
	emit(b, 1, 5)
	s := b.Subscribe(3)
	defer s.Close()
	pending(t, s, 0, 4, 5)
}

func TestSlowSubscriberIsToldWhatItMissed(t *testing.T) {
	b := NewBus(4)
	slow, fast := b.Subscribe(0), b.Subscribe(0)
	defer slow.Close()
	defer fast.Close()
	emit(b, 1, 4)
	if events, dropped := fast.Pending(); len(events) != 4 || dropped != 0 {
		t.Errorf("fast: %d events, %d dropped", len(events), dropped)
	}
	emit(b, 5, 7)
	pending(t, slow, 3, 4, 5, 6, 7)
	if events, dropped := fast.Pending(); len(events) != 3 || dropped != 0 {
		t.Errorf("fast: %d events, %d dropped", len(events), dropped)
	}
	if _, dropped := slow.Pending(); dropped != 0 {
		t.Errorf("dropped %d told twice", dropped)
	}
}

func TestNextWaits(t *testing.T) {
	b := NewBus(4)
	s := b.Subscribe(0)
	defer s.Close()
	got := make(chan []int64)
	go func() {
		events, _, _ := s.Next(t.Context())
		got <- times(events)
	}()
	emit(b, 1, 1)
	if diff := cmp.Diff([]int64{1}, <-got); diff != "" {
		t.Error(diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next after cancel: %v", err)
	}
}

func TestClosedSubscriptionIsForgotten(t *testing.T) {
	b := NewBus(1)
	b.Subscribe(0).Close()
	if len(b.subs) != 0 {
		t.Errorf("%d subscriptions left", len(b.subs))
	}
}

// TestManyEmitters counts: whatever the interleaving, read + dropped = emitted.
func TestManyEmitters(t *testing.T) {
	const emitters, each = 4, 1000
	b := NewBus(64)
	s := b.Subscribe(0)
	defer s.Close()
	var wg sync.WaitGroup
	for range emitters {
		wg.Go(func() { emit(b, 1, each) })
	}
	var seen uint64
	for seen < emitters*each {
		events, dropped, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen += uint64(len(events)) + dropped
	}
	wg.Wait()
	if events, dropped := s.Pending(); seen != emitters*each || len(events) > 0 || dropped > 0 {
		t.Errorf("seen %d, then %d events and %d dropped", seen, len(events), dropped)
	}
}

func TestJSONForm(t *testing.T) {
	out, err := json.Marshal(Event{T: 7, Kind: BFDDown, Key: "192.0.2.1", Data: map[string]string{"diag": "x", "a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"t_ns":7,"kind":"bfd.down","key":"192.0.2.1","data":{"a":"b","diag":"x"}}`; string(out) != want {
		t.Errorf("got %s", out)
	}
}
