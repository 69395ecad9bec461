package bfd

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gapsKept is how many arrival gaps a session remembers for its obituary.
const gapsKept = 8

// peer is a session with its socket and its counters.
type peer struct {
	key     Key
	local   netip.Addr // without zone; invalid: the kernel's choice
	remote  netip.Addr // without zone
	session *session

	fd      int // transmit socket; -1: not open
	port    uint16
	ifindex int32 // 0: the interface does not exist
	running bool  // the interface has carrier
	dst     unsafe.Pointer
	dstLen  uintptr
	buf     [PacketSize]byte

	tx, rx, dropped, txErrors, transitions uint64
	worstLate                              int64
	excused                                bool            // this silence was given a second look
	gaps                                   [gapsKept]int64 // ring; rx%gapsKept is the oldest
}

func newPeer(key Key, s *session) *peer {
	return &peer{
		key:     key,
		local:   key.Local.Unmap().WithZone(""),
		remote:  key.Peer.Unmap().WithZone(""),
		session: s,
		fd:      -1,
	}
}

// transmit sends one packet from a prepared buffer: no allocation, and no
// hand-over of the processor, since the call cannot block. Without carrier
// nothing is sent: it would start an address resolution that is lost, and
// that keeps the first packets after the carrier's return waiting a second
// for its next try.
func (p *peer) transmit(packet *Packet) bool {
	if p.fd < 0 || !p.running {
		return false
	}
	packet.Marshal(p.buf[:])
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(p.fd),
		uintptr(unsafe.Pointer(&p.buf[0])), PacketSize, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL,
		uintptr(p.dst), p.dstLen)
	if errno != 0 {
		return false
	}
	p.tx++
	return true
}

// excuse puts a Detection Time that ended unnoticed off by secondLook, once
// in a silence, and reports whether it did.
func (p *peer) excuse(now int64) bool {
	s := p.session
	if p.excused || s.detectAt == 0 || now-s.detectAt < ownLateness {
		return false
	}
	p.excused = true
	s.detectAt = now + secondLook
	return true
}

// arrived books an accepted packet.
func (p *peer) arrived(at int64) {
	p.excused = false
	if p.session.lastRx != 0 {
		p.gaps[p.rx%gapsKept] = at - p.session.lastRx
	}
	p.rx++
}

// lastGaps returns the latest arrival gaps, oldest first.
func (p *peer) lastGaps() []time.Duration {
	var gaps []time.Duration
	for i := range uint64(gapsKept) {
		if gap := p.gaps[(p.rx+i)%gapsKept]; gap != 0 {
			gaps = append(gaps, time.Duration(gap))
		}
	}
	return gaps
}

func (p *peer) change(old State, now int64) Change {
	p.transitions++
	s := p.session
	return Change{
		Key:               p.key,
		State:             s.state,
		Old:               old,
		Diag:              s.diag,
		RemoteState:       s.remoteState,
		RemoteIndependent: s.remoteIndependent,
		At:                now,
		LastRx:            s.lastRx,
		DetectTime:        s.detectTime(),
	}
}

func (p *peer) status() Status {
	s := p.session
	return Status{
		Key:             p.key,
		State:           s.state.String(),
		Diag:            s.diag.String(),
		RemoteState:     s.remoteState.String(),
		TxInterval:      s.txInterval(),
		RxInterval:      s.rxInterval(),
		DetectTime:      s.detectTime(),
		Tx:              p.tx,
		Rx:              p.rx,
		Dropped:         p.dropped,
		TxErrors:        p.txErrors,
		LocalDisc:       s.localDisc,
		PeerDisc:        s.remoteDisc,
		Transitions:     p.transitions,
		WorstTxLateness: time.Duration(p.worstLate),
	}
}
