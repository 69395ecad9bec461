package probe

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// control is one ancillary message as the kernel lays it out.
func control(level, kind int32, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	binary.NativeEndian.PutUint32(b[8:], uint32(level))
	binary.NativeEndian.PutUint32(b[12:], uint32(kind))
	copy(b[unix.SizeofCmsghdr:], data)
	return b
}

func words(v ...uint64) (b []byte) {
	for _, w := range v {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return b
}

func TestParseControl(t *testing.T) {
	overruns := binary.NativeEndian.AppendUint32(nil, 9)
	b := append(control(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, overruns...), control(unix.SOL_IP, unix.SCM_TIMESTAMPNS, words(1, 1)...)...)
	b = append(b, control(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, words(5, 42)...)...)
	if stamp, n := parseControl(b); stamp != 5_000_000_042 || n != 9 {
		t.Errorf("stamp %d, overruns %d", stamp, n)
	}
	if stamp, n := parseControl(nil); stamp != 0 || n != 0 {
		t.Errorf("of nothing: %d, %d", stamp, n)
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add(control(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, words(5, 42)...))
	f.Add(control(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, 2, 3, 4))
	f.Add(words(1<<63, 0))
	f.Fuzz(func(_ *testing.T, b []byte) { parseControl(b) })
}

// What is not this session's own is counted and changes nothing.
func TestForeignPackets(t *testing.T) {
	rec := sentRecord(10)
	r := newReceiver(77, map[uint16]*record{3: rec}, nil)
	r.offset = 1000
	payload := func(p packet) []byte {
		var b [PacketSize]byte
		p.put(&b)
		return b[:]
	}
	for i, b := range [][]byte{
		nil, []byte("hello"), make([]byte, PacketSize), append(payload(packet{Run: 77, Flow: 3}), 0),
		payload(packet{Run: 78, Flow: 3}), payload(packet{Run: 77, Flow: 4}), payload(packet{Run: 77, Flow: 3, Seq: 10}),
	} {
		r.take(b, 5)
		if r.foreign != uint64(i+1) {
			t.Errorf("packet %d was taken", i)
		}
	}
	r.take(payload(packet{Run: 77, Flow: 3, Seq: 4}), 6000)
	p := rec.progress(3, 0)
	if p.Received != 1 || rec.chunk(0).received[4].Load() != 5000 {
		t.Errorf("%+v, received at %d", p, rec.chunk(0).received[4].Load())
	}
}
