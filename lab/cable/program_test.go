package cable

import (
	"testing"
	"unsafe"

	"gwlab/lab/netns"
)

// The kernel's program and this process agree on the gate by its layout.
func TestGateIsOneCacheLine(t *testing.T) {
	var g gate
	if gateSize != 64 {
		t.Errorf("a gate has %d bytes, want 64", gateSize)
	}
	for name, at := range map[string]uintptr{
		"passed": unsafe.Offsetof(g.passed), "dropped": unsafe.Offsetof(g.dropped),
		"firstDrop": unsafe.Offsetof(g.firstDrop), "lastDrop": unsafe.Offsetof(g.lastDrop),
		"lastPass": unsafe.Offsetof(g.lastPass),
	} {
		if at%8 != 0 {
			t.Errorf("%s at %d: the kernel adds atomically only at multiples of 8", name, at)
		}
	}
}

func TestGateTurns(t *testing.T) {
	var g gate
	if !g.passes() {
		t.Error("a new gate is shut")
	}
	g.firstDrop, g.dropped = 5, 7
	g.shut()
	if c := g.counters(); g.passes() || c.FirstDrop != 0 || c.Dropped != 7 {
		t.Errorf("shut gate: %+v", c)
	}
	g.firstDrop = 9
	g.open()
	if c := g.counters(); !g.passes() || c.FirstDrop != 0 {
		t.Errorf("open gate: %+v", c)
	}
}

func TestProgramAttachesByTCX(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 1)
	c := build(t, s)
	j := c.cables["l0"]
	err := netns.Do(s.Middle, func() error {
		for _, dev := range []string{"c0a", "c0b"} {
			if out, err := inside(t, s.Middle, "tc", "qdisc", "del", "dev", dev, "ingress"); err != nil {
				t.Fatalf("remove filters: %v: %s", err, out)
			}
		}
		return c.patch.attachTCX([]int{j.midA, j.midB})
	})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := counters(t, c, "l0")
	ping(t, s.Links[0].A.Netns, "198.18.0.2")
	if after, _ := counters(t, c, "l0"); after.Passed < before.Passed+3 {
		t.Errorf("passed %d before, %d after three pings", before.Passed, after.Passed)
	}
}
