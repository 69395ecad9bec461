package bfd

import "encoding/binary"

// PacketSize is the length in bytes of a control packet without
// authentication, the only kind sent or accepted (RFC 5880 §4.1).
const PacketSize = 24

// version is the protocol version of RFC 5880.
const version = 1

// Bits of the second byte (RFC 5880 §4.1): P F C A D M.
const (
	bitPoll       = 0x20
	bitFinal      = 0x10
	bitCPI        = 0x08
	bitAuth       = 0x04
	bitDemand     = 0x02
	bitMultipoint = 0x01
)

// Packet is the mandatory section of a BFD control packet (RFC 5880 §4.1).
// Intervals are in microseconds, as on the wire.
type Packet struct {
	Diag              Diag  // 0..31
	State             State // 0..3
	Poll              bool
	Final             bool
	Independent       bool  // C: the sender's BFD outlives its control plane
	DetectMult        uint8 // 1..255
	MyDisc            uint32
	YourDisc          uint32
	DesiredMinTx      uint32 // µs
	RequiredMinRx     uint32 // µs; 0: send me no periodic packets
	RequiredMinEchoRx uint32 // µs; 0: no echo
}

// Malformed is the reason why a received packet is discarded by RFC 5880
// §6.8.6 before any session is looked at.
type Malformed uint8

// The checks of RFC 5880 §6.8.6, in its order, and the two modes refused here.
const (
	BadLength         Malformed = iota + 1 // shorter than 24 bytes, or the Length field disagrees
	BadVersion                             // Version is not 1
	BadMultiplier                          // Detect Mult is 0
	BadMultipoint                          // M is set
	BadMyDisc                              // My Discriminator is 0
	BadYourDisc                            // Your Discriminator is 0 in state Init or Up
	AuthUnsupported                        // A is set, no authentication is in use
	DemandUnsupported                      // D is set
)

// Error says which check failed.
func (m Malformed) Error() string {
	switch m {
	case BadLength:
		return "bfd packet: bad length"
	case BadVersion:
		return "bfd packet: version is not 1"
	case BadMultiplier:
		return "bfd packet: detect multiplier is 0"
	case BadMultipoint:
		return "bfd packet: multipoint bit is set"
	case BadMyDisc:
		return "bfd packet: my discriminator is 0"
	case BadYourDisc:
		return "bfd packet: your discriminator is 0 in state init or up"
	case AuthUnsupported:
		return "bfd packet: authentication is not in use"
	case DemandUnsupported:
		return "bfd packet: demand mode is not supported"
	}
	return "bfd packet: malformed"
}

// Marshal writes p into b, which must hold PacketSize bytes.
func (p *Packet) Marshal(b []byte) {
	_ = b[PacketSize-1]
	b[0] = version<<5 | byte(p.Diag)&0x1f
	b[1] = byte(p.State) << 6
	if p.Poll {
		b[1] |= bitPoll
	}
	if p.Final {
		b[1] |= bitFinal
	}
	if p.Independent {
		b[1] |= bitCPI
	}
	b[2] = p.DetectMult
	b[3] = PacketSize
	binary.BigEndian.PutUint32(b[4:], p.MyDisc)
	binary.BigEndian.PutUint32(b[8:], p.YourDisc)
	binary.BigEndian.PutUint32(b[12:], p.DesiredMinTx)
	binary.BigEndian.PutUint32(b[16:], p.RequiredMinRx)
	binary.BigEndian.PutUint32(b[20:], p.RequiredMinEchoRx)
}

// Unmarshal reads a UDP payload into p and applies every check of RFC 5880
// §6.8.6 that needs no session. The error is a Malformed; p is then undefined.
func (p *Packet) Unmarshal(b []byte) error {
	if len(b) < PacketSize {
		return BadLength
	}
	flags, length := b[1], int(b[3])
	*p = Packet{
		Diag:              Diag(b[0] & 0x1f),
		State:             State(flags >> 6),
		Poll:              flags&bitPoll != 0,
		Final:             flags&bitFinal != 0,
		Independent:       flags&bitCPI != 0,
		DetectMult:        b[2],
		MyDisc:            binary.BigEndian.Uint32(b[4:]),
		YourDisc:          binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx:      binary.BigEndian.Uint32(b[12:]),
		RequiredMinRx:     binary.BigEndian.Uint32(b[16:]),
		RequiredMinEchoRx: binary.BigEndian.Uint32(b[20:]),
	}
	switch {
	case b[0]>>5 != version:
		return BadVersion
	case length < PacketSize, length > len(b):
		return BadLength
	case p.DetectMult == 0:
		return BadMultiplier
	case flags&bitMultipoint != 0:
		return BadMultipoint
	case p.MyDisc == 0:
		return BadMyDisc
	case p.YourDisc == 0 && p.State != Down && p.State != AdminDown:
		return BadYourDisc
	case flags&bitAuth != 0:
		return AuthUnsupported
	case flags&bitDemand != 0:
		return DemandUnsupported
	}
	return nil
}
