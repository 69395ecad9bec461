package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gwlab/reports/convergence"
)

// told is what a probe process says: lines, then the samples of flows.
func told(t *testing.T, flows []convergence.Flow, lines ...message) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	for _, m := range lines {
		must(t, json.NewEncoder(&b).Encode(m))
	}
	if flows != nil {
		must(t, convergence.WriteSamples(&b, flows))
	}
	return &b
}

func listener(flows ...convergence.Flow) *Session {
	return &Session{flows: flows, progress: make(chan []convergence.FlowProgress, 1), started: make(chan int64, 1)}
}

// Everything the process tells arrives: counts, health and every packet.
func TestProtocol(t *testing.T) {
	sent := gated(100, 120)
	sent.ID, sent.Duplicated = 9, []int64{5 * msec}
	s := listener(convergence.Flow{ID: 9, Group: "out", Interval: time.Millisecond})
	err := s.read(told(t, []convergence.Flow{sent},
		message{T: 77, Started: true},
		message{T: 78, Progress: []convergence.FlowProgress{{ID: 9, Sent: 1}}},
		message{T: 79, Progress: []convergence.FlowProgress{{ID: 9, Sent: 2}}},
		message{T: 80, Final: &final{Flows: []counts{{Duplicates: 1, Reordered: 3}}, Health: convergence.Health{Overruns: 4}}},
	))
	if err != nil || <-s.started != 77 {
		t.Fatal(err)
	}
	// A slow reader of progress gets the newest.
	if p := <-s.progress; p[0].Sent != 2 {
		t.Errorf("progress %+v", p)
	}
	f := s.flows[0]
	if f.Group != "out" || f.Duplicates != 1 || f.Reordered != 3 || s.health.Overruns != 4 {
		t.Errorf("%+v %+v", f, s.health)
	}
	if !slices.Equal(f.Sent, sent.Sent) || !slices.Equal(f.Received, sent.Received) || !slices.Equal(f.Duplicated, sent.Duplicated) {
		t.Error("the packets differ")
	}
}

func TestProtocolErrors(t *testing.T) {
	flow := convergence.Flow{ID: 1}
	whole := []convergence.Flow{flow}
	end := message{Final: &final{Flows: []counts{{}}}}
	limited := message{Final: &final{Flows: []counts{{}}, Limited: true}}
	for _, c := range []struct {
		name string
		in   *bytes.Buffer
		want string
	}{
		{"silence", &bytes.Buffer{}, errNoResult.Error()},
		{"half a line", bytes.NewBufferString(`{"t_ns":`), errNoResult.Error()},
		{"something else", bytes.NewBufferString("Segmentation fault\n"), "read probe"},
		{"its own error", told(t, nil, message{Error: "open socket in x: denied"}), "open socket in x: denied"},
		{"flows missing", told(t, whole, message{Final: &final{}}), "0 flows came back of 1"},
		{"samples missing", told(t, nil, end), "not a whole sample file"},
		{"samples of another flow", told(t, []convergence.Flow{{ID: 2}}, end), "not a whole sample file"},
		{"limit", told(t, whole, limited), "time limit"},
	} {
		if err := listener(flow).read(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzProtocol(f *testing.F) {
	f.Add([]byte(`{"t_ns":1,"final":{"flows":[{}]}}` + "\ngwlab-samples\x001"))
	f.Add([]byte(`{"progress":[{"id":1}]}` + "\n"))
	f.Add([]byte("null\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := listener(convergence.Flow{ID: 1})
		s.started = make(chan int64, len(b)+1)
		err := s.read(bytes.NewReader(b))
		if err == nil && len(s.flows[0].Sent) != len(s.flows[0].Received) {
			t.Error("accepted half a flow")
		}
	})
}

// Two "started" lines must not block the reader for ever.
func TestStartedTwice(t *testing.T) {
	s := listener(convergence.Flow{ID: 1})
	err := s.read(told(t, nil, message{Started: true}, message{Started: true}))
	if !errors.Is(err, errNoResult) {
		t.Error(err)
	}
}
