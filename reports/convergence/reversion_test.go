package convergence

import (
	"testing"
	"time"
)

func fib(ms int, node, key, via string) Event {
	return Event{T: int64(ms) * 1e6, Node: node, Kind: fibChange, Key: key, Data: map[string]string{"via": via}}
}

func TestReversion(t *testing.T) {
	before := []Event{fib(1, "gw1", "srv", "isp1,isp2"), fib(1, "core", "site", "isp1,isp2"), fib(2, "gw1", "site", "tor")}
	for _, c := range []struct {
		name   string
		events []Event
		want   time.Duration
		ok     bool
	}{
		{"the last entry decides", []Event{
			fib(101, "gw1", "srv", "isp2"), fib(102, "core", "site", "isp2"),
			fib(700, "core", "site", "isp1,isp2"), fib(900, "gw1", "srv", "isp1,isp2"),
		}, 400 * time.Millisecond, true},
		{"nothing changed", nil, 0, true},
		{"back already before the heal", []Event{fib(101, "gw1", "srv", "isp2"), fib(300, "gw1", "srv", "isp1,isp2")}, 0, true},
		{"never back", []Event{fib(101, "gw1", "srv", "isp2"), fib(102, "core", "site", "isp2"), fib(900, "gw1", "srv", "isp1,isp2")}, 400 * time.Millisecond, false},
		{"a flap counts to its end", []Event{
			fib(101, "gw1", "srv", "isp2"), fib(600, "gw1", "srv", "isp1,isp2"),
			fib(650, "gw1", "srv", "isp1"), fib(800, "gw1", "srv", "isp1,isp2"),
		}, 300 * time.Millisecond, true},
		{"in any order", []Event{fib(900, "gw1", "srv", "isp1,isp2"), fib(101, "gw1", "srv", "isp2")}, 400 * time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := Run{
				Injections: []Injection{
					{Phase: "failure", Call: 100e6, Return: 100e6},
					{Phase: "repaired", Heal: true, Call: 499e6, Return: 500e6},
				},
				Events: append(append([]Event(nil), before...), c.events...),
			}
			took, uncertainty, ok := Reversion(run, "repaired")
			if took != c.want && ok || ok != c.ok {
				t.Errorf("got %v, %t; want %v, %t", took, ok, c.want, c.ok)
			}
			if uncertainty != time.Millisecond {
				t.Errorf("uncertainty %v, want the width of the heal", uncertainty)
			}
			if _, _, ok := Reversion(run, "failure"); ok {
				t.Error("a phase without a heal has no reversion")
			}
		})
	}
}
