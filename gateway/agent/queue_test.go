package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueSettlesWhenTheReaderIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue[int]()
		q.settle(t.Context()) // nothing was ever pushed: no wait
		q.push(1)
		q.push(2)
		settled := make(chan struct{})
		go func() {
			q.settle(context.Background())
			close(settled)
		}()
		waiting := func(when string) {
			t.Helper()
			synctest.Wait()
			select {
			case <-settled:
				t.Fatal("settled " + when)
			default:
			}
		}
		waiting("before anything was taken")
		if got := q.take(); !slices.Equal(got, []int{1, 2}) {
			t.Fatalf("took %v", got)
		}
		waiting("while the reader works on what it took")
		q.push(3)
		if got := q.take(); !slices.Equal(got, []int{3}) {
			t.Fatalf("took %v", got)
		}
		waiting("with the third item in hand")
		q.take()
		synctest.Wait()
		select {
		case <-settled:
		default:
			t.Error("not settled when nothing was left")
		}
	})
}

func TestQueueSettleEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue[int]()
		q.push(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		q.settle(ctx)
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited %v", took)
		}
	})
}
