package convergence

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func encoded(t testing.TB, flows []Flow) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteSamples(&b, flows); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSamplesRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 50 {
		var flows, back []Flow
		for id := range r.IntN(5) {
			f := scramble(r, simulate(r, r.Int64(), r.IntN(300), ms, ms, nil))
			f.ID = uint16(id * 7)
			flows, back = append(flows, f), append(back, Flow{ID: f.ID})
		}
		slices.Reverse(back) // found by ID, not by place
		if err := ReadSamples(bytes.NewReader(encoded(t, flows)), back); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(back)
		for i, f := range flows {
			b := back[i]
			if !slices.Equal(f.Sent, b.Sent) || !slices.Equal(f.Received, b.Received) || !slices.Equal(f.Duplicated, b.Duplicated) {
				t.Fatalf("flow %d differs", f.ID)
			}
		}
	}
}

func TestSamplesAreCompact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	f := simulate(r, 1e15, 10_000, ms, ms/20, nil)
	if n := len(encoded(t, []Flow{f})); n > 10_000*8 {
		t.Errorf("%d bytes for 10000 packets", n)
	}
}

// Every truncation and every changed byte is refused.
func TestSamplesDamage(t *testing.T) {
	good := encoded(t, []Flow{simulate(nil, 5, 50, ms, 0, []dark{{10 * ms, 20 * ms}})})
	refused := func(b []byte, what string, n int) {
		if err := ReadSamples(bytes.NewReader(b), []Flow{{}}); !errors.Is(err, ErrSamples) {
			t.Errorf("%s at %d of %d: %v", what, n, len(good), err)
		}
	}
	for n := range good {
		refused(good[:n], "truncated", n)
	}
	for n := range good {
		if n >= len(samplesMagic)+3 && n < len(samplesMagic)+10 {
			continue // gzip's header of flags, time and system says nothing about the data
		}
		bad := slices.Clone(good)
		bad[n] ^= 0x10
		refused(bad, "changed", n)
	}
	refused(append(slices.Clone(good), 0), "extended", len(good))
}

// stream is a well-formed file around any content.
func stream(numbers ...uint64) []byte {
	var b bytes.Buffer
	b.WriteString(samplesMagic)
	zip := gzip.NewWriter(&b)
	for _, n := range numbers {
		_, _ = zip.Write(binary.AppendUvarint(nil, n))
	}
	_ = zip.Close()
	return b.Bytes()
}

func TestSamplesOfAnotherRun(t *testing.T) {
	for name, b := range map[string][]byte{
		"another flow":       encoded(t, []Flow{{ID: 9}}),
		"more flows":         encoded(t, []Flow{{ID: 0}, {ID: 1}}),
		"a huge claim":       stream(1, 0, 1<<40),
		"an impossible flow": stream(1, 1<<20),
		"nothing":            nil,
		"something else":     []byte("PK\x03\x04 a zip file of more than sixteen bytes"),
	} {
		if err := ReadSamples(bytes.NewReader(b), []Flow{{ID: 0}}); !errors.Is(err, ErrSamples) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadSamples(f *testing.F) {
	f.Add(encoded(f, []Flow{simulate(nil, 5, 20, ms, 0, nil)}))
	f.Add(stream(1, 0, 2, 2, 4))
	f.Add(stream(1, 0, 1<<40))
	f.Fuzz(func(t *testing.T, b []byte) {
		flows := []Flow{{}}
		if err := ReadSamples(bytes.NewReader(b), flows); err == nil && len(flows[0].Sent) != len(flows[0].Received) {
			t.Error("accepted a flow whose send and receive instants differ in number")
		}
	})
}
