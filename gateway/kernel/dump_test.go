package kernel_test

import (
	"errors"
	"strings"
	"testing"

	"gwlab/gateway/state"
)

// An operator who looks at a large table holds no repair up, and disturbs none.
func TestFailDuringDump(t *testing.T) {
	w := newWorld(t)
	w.set(table(10_000, false, state.Group{Primary: hops(isp1, isp2), Backup: hops(peer)}))
	done := make(chan error)
	go func() {
		var errs []error
		for range 4 {
			text, err := w.fib.Dump()
			errs = append(errs, err)
			if n := strings.Count(text, "\nroute "); n != 20_000 {
				errs = append(errs, errors.New("not all routes are in the dump"))
			}
		}
		done <- errors.Join(errs...)
	}()
	for dumping := true; dumping; {
		w.fail(isp1)
		_, err := w.fib.Restore(isp1)
		w.must(err)
		select {
		case err := <-done:
			w.must(err)
			dumping = false
		default:
		}
	}
	w.fail(isp1)
	if got := w.leg("20.0.0.1"); got != "198.18.2.2" {
		t.Errorf("20.0.0.1 goes to %s, want the other primary", got)
	}
	w.clean(w.fib)
}
