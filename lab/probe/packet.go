package probe

import (
	"encoding/binary"
	"errors"
)

// PacketSize is the UDP payload of every probe packet, in bytes.
const PacketSize = 64

// magic begins every probe packet: "gwP" and the format's version.
const magic = 0x67775001

var errNotProbe = errors.New("decode probe packet: not one of ours")

// packet is what a probe packet carries; the rest of its 64 bytes is zero.
type packet struct {
	Run  uint64 // tells the packets of one session from those of another
	Flow uint16
	Seq  uint64 // from 0 in each flow
	Sent int64  // CLOCK_MONOTONIC ns, just before the write
}

// put encodes p into b, big endian, without allocating.
func (p packet) put(b *[PacketSize]byte) {
	binary.BigEndian.PutUint32(b[0:], magic)
	binary.BigEndian.PutUint16(b[4:], p.Flow)
	binary.BigEndian.PutUint64(b[8:], p.Run)
	binary.BigEndian.PutUint64(b[16:], p.Seq)
	binary.BigEndian.PutUint64(b[24:], uint64(p.Sent))
}

// parsePacket decodes a payload. It refuses any other length or magic.
func parsePacket(b []byte) (packet, error) {
	if len(b) != PacketSize || binary.BigEndian.Uint32(b) != magic {
		return packet{}, errNotProbe
	}
	return packet{
		Flow: binary.BigEndian.Uint16(b[4:]),
		Run:  binary.BigEndian.Uint64(b[8:]),
		Seq:  binary.BigEndian.Uint64(b[16:]),
		Sent: int64(binary.BigEndian.Uint64(b[24:])),
	}, nil
}
