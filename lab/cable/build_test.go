package cable

import (
	"strings"
	"testing"

	"gwlab/lab/netns"
)

func TestBuiltLinksCarryIPv4AndIPv6AtOnce(t *testing.T) {
	for _, kind := range []Type{Veth, Cable} {
		t.Run(string(kind), func(t *testing.T) {
			needRoot(t)
			s := pair(t, kind, 2)
			build(t, s)
			for _, to := range []string{"198.18.0.2", "fd00:0::2", "198.18.1.2", "fd00:1::2", "127.0.0.1"} {
				ping(t, s.Links[0].A.Netns, to)
			}
		})
	}
}

func TestEndsHaveTheirNamesIndexesAndMTU(t *testing.T) {
	for _, kind := range []Type{Veth, Cable} {
		t.Run(string(kind), func(t *testing.T) {
			needRoot(t)
			s := pair(t, kind, 1)
			s.Links[0].MTU = 9000
			s.Links[0].A.Index, s.Links[0].B.Index = 4711, 815
			s.Links[0].B.Up = false
			build(t, s)
			for _, e := range []End{s.Links[0].A, s.Links[0].B} {
				out, err := inside(t, e.Netns, "ip", "-o", "link", "show", "dev", e.Name)
				if err != nil || !strings.Contains(out, "mtu 9000") || strings.Contains(out, ",UP") != e.Up {
					t.Errorf("%s: %v: %s", e.Name, err, out)
				}
			}
			h, err := netns.Handle(s.Links[0].B.Netns)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			if _, err := h.LinkByIndex(815); err != nil {
				t.Errorf("index 815: %v", err)
			}
		})
	}
}

func TestNoTwoIndexesOfALabAreEqual(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 3)
	build(t, s)
	seen := map[int]bool{}
	for _, path := range []string{s.Middle, s.Links[0].A.Netns, s.Links[0].B.Netns} {
		h, err := netns.Handle(path)
		if err != nil {
			t.Fatal(err)
		}
		links, err := h.LinkList()
		h.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			a := l.Attrs()
			if a.Name == "lo" {
				continue
			}
			if seen[a.Index] || a.ParentIndex == a.Index {
				t.Errorf("%s in %s: index %d, peer %d", a.Name, path, a.Index, a.ParentIndex)
			}
			seen[a.Index] = true
		}
	}
	if len(seen) != 12 {
		t.Errorf("three cables have %d interfaces, want 12", len(seen))
	}
}

func TestBuildRefuses(t *testing.T) {
	good := func() Spec {
		return Spec{Middle: "/m", Links: []Link{{
			Name: "l", Type: Veth, A: End{Netns: "/a", Name: "p", Index: 2}, B: End{Netns: "/b", Name: "p", Index: 3},
		}}}
	}
	for name, c := range map[string]struct {
		spoil func(*Spec)
		want  string
	}{
		"equal indexes":    {func(s *Spec) { s.Links[0].B.Index = 2 }, "delays carrier"},
		"index of lo":      {func(s *Spec) { s.Links[0].B.Index = 1 }, "more than 1"},
		"long name":        {func(s *Spec) { s.Links[0].A.Name = "sixteen-bytes-ab" }, "1 … 15 bytes"},
		"unknown type":     {func(s *Spec) { s.Links[0].Type = "wet-string" }, "unknown type"},
		"no middle":        {func(s *Spec) { s.Middle = "" }, "middle namespace"},
		"end in middle":    {func(s *Spec) { s.Links[0].A.Netns = "/m" }, "other than the middle"},
		"tiny MTU":         {func(s *Spec) { s.Links[0].MTU = 20 }, "68 … 65535"},
		"same link twice":  {func(s *Spec) { s.Links = append(s.Links, s.Links[0]) }, "used twice"},
		"same port twice":  {func(s *Spec) { s.Links[0].B.Netns = "/a" }, "exists twice"},
		"absent namespace": {func(s *Spec) {}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			c.spoil(&s)
			if _, err := Build(s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Build: %v, want %q", err, c.want)
			}
		})
	}
}

func TestBuildNamesTheLinkTheKernelRefused(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 2)
	if out, err := inside(t, s.Links[1].B.Netns, "ip", "link", "add", "p1", "type", "bridge"); err != nil {
		t.Fatalf("occupy the name: %v: %s", err, out)
	}
	if _, err := Build(s); err == nil || !strings.Contains(err.Error(), "l1") {
		t.Fatalf("Build over a taken name: %v", err)
	}
}
