package kernel_test

import (
	"testing"

	"gwlab/gateway/state"
)

func TestSetThenFailThenRestore(t *testing.T) {
	w := newWorld(t)
	_, err := w.fib.Set(state.State{Routes: both()})
	w.must(err)
	w.golden(w.fib, "set")
	for _, h := range hops(isp1, isp16) {
		_, err = w.fib.Fail(h)
		w.must(err)
	}
	w.golden(w.fib, "up1-failed")
	for _, h := range hops(isp2, isp26) {
		_, err = w.fib.Fail(h)
		w.must(err)
	}
	w.golden(w.fib, "uplinks-failed")
	for _, h := range hops(isp1, isp16, isp2, isp26) {
		_, err = w.fib.Restore(h)
		w.must(err)
	}
	w.golden(w.fib, "set")
}
