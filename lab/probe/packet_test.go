package probe

import (
	"errors"
	"testing"
)

func TestPacketRoundTrip(t *testing.T) {
	want := packet{Run: 1<<63 + 7, Flow: 65535, Seq: 1 << 40, Sent: 123456789012345}
	var b [PacketSize]byte
	want.put(&b)
	if got, err := parsePacket(b[:]); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": b[:63], "long": append(b[:], 0), "another magic": append([]byte{1}, b[1:]...),
	} {
		if _, err := parsePacket(bad); !errors.Is(err, errNotProbe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParsePacket(f *testing.F) {
	var b [PacketSize]byte
	packet{Run: 1, Flow: 2, Seq: 3, Sent: 4}.put(&b)
	f.Add(b[:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePacket(b)
		if err != nil {
			return
		}
		var again [PacketSize]byte
		p.put(&again)
		if q, err := parsePacket(again[:]); err != nil || q != p {
			t.Errorf("%+v became %+v, %v", p, q, err)
		}
	})
}
