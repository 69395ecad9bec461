package kernel_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

// BenchmarkFail reports what one repair costs with that many routes behind it.
func BenchmarkFail(b *testing.B) {
	for _, v6 := range []bool{false, true} {
		for _, count := range []int{1_000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("v6=%v/routes=%d", v6, count), func(b *testing.B) {
				w := newWorld(b)
				g, victim := wide(v6)
				start := time.Now()
				_, err := w.fib.Update(table(count, v6, g), nil)
				w.must(err)
				b.ReportMetric(float64(time.Since(start).Microseconds())/1e3, "ms/load")
				var took []time.Duration
				for b.Loop() {
					a, err := w.fib.Fail(victim)
					w.must(err)
					took = append(took, a.Took)
					_, err = w.fib.Restore(victim)
					w.must(err)
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms/fail")
				b.ReportMetric(float64(took[len(took)-1].Microseconds())/1e3, "ms/worst-fail")
			})
		}
	}
}

func wide(v6 bool) (state.Group, state.NextHop) {
	if v6 {
		return state.Group{Primary: hops(isp16, isp26), Backup: hops(peer6)}, isp16
	}
	return state.Group{Primary: hops(isp1, isp2), Backup: hops(peer)}, isp1
}

// BenchmarkFailDuringUpdate reports the repair while 100,000 routes move.
func BenchmarkFailDuringUpdate(b *testing.B) {
	w := newWorld(b)
	g, victim := wide(false)
	other := state.Group{Primary: hops(isp2), Backup: hops(isp1, peer)}
	_, err := w.fib.Update(table(100_000, false, g), nil)
	w.must(err)
	var took []time.Duration
	for b.Loop() {
		done := make(chan kernel.Applied)
		go func() {
			a, _ := w.fib.Update(table(100_000, false, other), nil)
			done <- a
		}()
		for moving := true; moving; {
			select {
			case <-done:
				moving = false
			case <-time.After(5 * time.Millisecond):
				a, err := w.fib.Fail(victim)
				w.must(err)
				took = append(took, a.Took)
				_, err = w.fib.Restore(victim)
				w.must(err)
			}
		}
		g, other = other, g
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms/fail")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1e3, "ms/worst-fail")
}

// BenchmarkUpdate reports loading, moving and deleting routes, and an audit.
func BenchmarkUpdate(b *testing.B) {
	for _, v6 := range []bool{false, true} {
		b.Run(fmt.Sprintf("v6=%v", v6), func(b *testing.B) {
			w := newWorld(b)
			g, _ := wide(v6)
			moved := state.Group{Primary: g.Primary[1:], Backup: g.Backup}
			routes := table(100_000, v6, g)
			for b.Loop() {
				stage(b, "ms/load", func() error { _, err := w.fib.Update(routes, nil); return err })
				stage(b, "ms/move", func() error { _, err := w.fib.Update(table(100_000, v6, moved), nil); return err })
				stage(b, "ms/audit", func() error { _, err := w.fib.Audit(); return err })
				stage(b, "ms/delete", func() error { _, err := w.fib.Set(state.State{}); return err })
			}
		})
	}
}

func stage(b *testing.B, unit string, do func() error) {
	start := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/1e3, unit)
}
