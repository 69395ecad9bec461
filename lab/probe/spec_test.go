package probe

import (
	"strings"
	"testing"
	"time"
)

func goodFlow(id uint16) Flow {
	f := Flow{FromNetns: "/run/netns/a", ToNetns: "/run/netns/b"}
	f.ID, f.Group, f.Src, f.Dst, f.Interval = id, "out", "198.18.0.1:20000", "198.18.0.2:7000", time.Millisecond
	return f
}

func TestSpec(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Spec)
		want   string
	}{
		{"good", func(*Spec) {}, ""},
		{"any interval", func(s *Spec) { s.Flows[0].Interval = 3333 * time.Microsecond }, ""},
		{"fast", func(s *Spec) { s.Flows[0].Interval = minInterval }, ""},
		{"no flows", func(s *Spec) { s.Flows = nil }, "no flows"},
		{"twice", func(s *Spec) { s.Flows = append(s.Flows, goodFlow(0)) }, "flow id 0 twice"},
		{"no namespace", func(s *Spec) { s.Flows[1].ToNetns = "" }, "out/0: a namespace path is missing"},
		{"no port", func(s *Spec) { s.Flows[0].Src = "198.18.0.1" }, "parse source"},
		{"no address", func(s *Spec) { s.Flows[0].Dst = "srv:7000" }, "parse destination"},
		{"two families", func(s *Spec) { s.Flows[0].Dst = "[fd00::1]:7000" }, "different families"},
		{"port 0", func(s *Spec) { s.Flows[0].Dst = "198.18.0.2:0" }, "port is 0"},
		{"too fast", func(s *Spec) { s.Flows[0].Interval = minInterval - 1 }, "not within"},
		{"too slow", func(s *Spec) { s.Flows[0].Interval = time.Hour }, "not within"},
		{"no interval", func(s *Spec) { s.Flows[0].Interval = 0 }, "not within"},
		{"too much", func(s *Spec) {
			for i := range 50 {
				s.Flows = append(s.Flows, goodFlow(uint16(10+i)))
			}
		}, "52000 packets per second in all, at most 50000"},
		{"too long", func(s *Spec) { s.Limit = MaxDuration + 1 }, "limit"},
		{"too patient", func(s *Spec) { s.Drain = time.Minute }, "drain"},
		{"impatient", func(s *Spec) { s.Drain = -1 }, "drain"},
	} {
		s := Spec{Flows: []Flow{goodFlow(0), goodFlow(1)}}
		c.change(&s)
		ends, err := s.prepare()
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		case c.want == "" && (err != nil || len(ends) != 2 || s.Drain != DefaultDrain || s.Limit != MaxDuration):
			t.Errorf("%s: %v %+v", c.name, err, s)
		}
	}
}

func TestGridFollowsTheFastestFlow(t *testing.T) {
	s := Spec{Flows: []Flow{goodFlow(0), goodFlow(1)}}
	if s.grid() != tick {
		t.Errorf("grid %v", s.grid())
	}
	s.Flows[1].Interval = 250 * time.Microsecond
	if s.grid() != 250*time.Microsecond {
		t.Errorf("grid %v", s.grid())
	}
}
