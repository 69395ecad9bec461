package bfd

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() Packet {
	return Packet{
		Diag: DiagNeighborDown, State: Up, Poll: true, DetectMult: 3,
		MyDisc: 0x01020304, YourDisc: 0x05060708, DesiredMinTx: 50000, RequiredMinRx: 10000,
	}
}

func wire(p Packet) []byte {
	b := make([]byte, PacketSize)
	p.Marshal(b)
	return b
}

func TestRFC5880Section4_1Layout(t *testing.T) {
	want := "23e0031801020304050607080000c3500000271000000000"
	if got := hex.EncodeToString(wire(sample())); got != want {
		t.Errorf("on the wire\n got %s\nwant %s", got, want)
	}
}

func TestPacketComesBackAsItWent(t *testing.T) {
	for _, change := range []func(*Packet){
		func(*Packet) {},
		func(p *Packet) { p.Poll, p.Final = false, true },
		func(p *Packet) { p.Independent = true },
		func(p *Packet) { p.State, p.YourDisc = Down, 0 },
		func(p *Packet) { p.State, p.YourDisc, p.Diag = AdminDown, 0, DiagAdminDown },
		func(p *Packet) { p.State, p.Diag = Init, 31 },
		func(p *Packet) { p.RequiredMinRx, p.RequiredMinEchoRx = 0, 7 },
	} {
		want := sample()
		change(&want)
		var got Packet
		if err := got.Unmarshal(wire(want)); err != nil {
			t.Errorf("%+v: %v", want, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("packet changed (-want +got):\n%s", diff)
		}
	}
}

func TestRFC5880Section6_8_6Checks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func([]byte) []byte
		want  error
	}{
		{"sound", func(b []byte) []byte { return b }, nil},
		{"longer payload than packet", func(b []byte) []byte { return append(b, 1, 2, 3) }, nil},
		{"empty", func([]byte) []byte { return nil }, BadLength},
		{"cut", func(b []byte) []byte { return b[:23] }, BadLength},
		{"version 0", func(b []byte) []byte { b[0] &= 0x1f; return b }, BadVersion},
		{"version 2", func(b []byte) []byte { b[0] = b[0]&0x1f | 2<<5; return b }, BadVersion},
		{"length field too small", func(b []byte) []byte { b[3] = 23; return b }, BadLength},
		{"length field beyond payload", func(b []byte) []byte { b[3] = 25; return b }, BadLength},
		{"multiplier 0", func(b []byte) []byte { b[2] = 0; return b }, BadMultiplier},
		{"multipoint", func(b []byte) []byte { b[1] |= bitMultipoint; return b }, BadMultipoint},
		{"my discriminator 0", func(b []byte) []byte { clear(b[4:8]); return b }, BadMyDisc},
		{"your discriminator 0 in up", func(b []byte) []byte { clear(b[8:12]); return b }, BadYourDisc},
		{"your discriminator 0 in init", func(b []byte) []byte { clear(b[8:12]); b[1] = byte(Init) << 6; return b }, BadYourDisc},
		{"your discriminator 0 in down", func(b []byte) []byte { clear(b[8:12]); b[1] = byte(Down) << 6; return b }, nil},
		{"your discriminator 0 in admin-down", func(b []byte) []byte { clear(b[8:12]); b[1] = 0; return b }, nil},
		{"authentication", func(b []byte) []byte { b[1] |= bitAuth; return b }, AuthUnsupported},
		{"demand", func(b []byte) []byte { b[1] |= bitDemand; return b }, DemandUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			if err := p.Unmarshal(tt.spoil(wire(sample()))); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestMalformedSaysWhy(t *testing.T) {
	seen := map[string]bool{}
	for m := Malformed(0); m <= DemandUnsupported; m++ {
		if seen[m.Error()] {
			t.Errorf("%d says the same as another: %s", m, m.Error())
		}
		seen[m.Error()] = true
	}
}

// FuzzPacket: what Unmarshal accepts obeys §6.8.6, and marshals back to the
// bytes it came from, the two refused bits aside.
func FuzzPacket(f *testing.F) {
	f.Add(wire(sample()))
	down := sample()
	down.State, down.YourDisc = Down, 0
	f.Add(wire(down))
	f.Add([]byte{})
	f.Add(append(wire(sample()), 0xff))
	f.Add(make([]byte, PacketSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Packet
		if p.Unmarshal(b) != nil {
			return
		}
		if p.MyDisc == 0 || p.DetectMult == 0 || p.YourDisc == 0 && p.State >= Init {
			t.Fatalf("accepted %+v", p)
		}
		want := append([]byte(nil), b[:PacketSize]...)
		want[3] = PacketSize
		if diff := cmp.Diff(want, wire(p)); diff != "" {
			t.Fatalf("bytes changed (-received +marshalled):\n%s", diff)
		}
	})
}

func TestCodecAllocatesNothing(t *testing.T) {
	p, b := sample(), make([]byte, PacketSize)
	if n := testing.AllocsPerRun(100, func() { p.Marshal(b); _ = p.Unmarshal(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMarshal(b *testing.B) {
	p, buf := sample(), make([]byte, PacketSize)
	b.ReportAllocs()
	for b.Loop() {
		p.Marshal(buf)
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	buf := wire(sample())
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Unmarshal(buf); err != nil {
			b.Fatal(err)
		}
	}
}
