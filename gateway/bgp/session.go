package bgp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"gwlab/internal/monotime"
)

const (
	// goodbye bounds how long a closing session may take to say why.
	goodbye = 500 * time.Millisecond
	// sendHold ends a session whose peer does not read (RFC 9687 §4).
	sendHold = 8 * time.Minute
)

var (
	errClosing = errors.New("session is closing")
	errEnded   = errors.New("connection was refused by the state machine")
)

// session is one TCP connection: a goroutine that reads messages and one
// that writes them, so that neither waits for the other.
type session struct {
	id      int
	peer    *peer
	tcp     net.Conn
	heardAt atomic.Int64 // CLOCK_MONOTONIC of the last message
	subnet  netip.Prefix // that the local address is in

	wake    chan struct{}
	urgent  atomic.Bool // control messages wait
	mu      sync.Mutex
	control []byte // serialised messages that go first
	pending map[netip.Prefix]*advert
	eor     bool
	closing bool
}

func newSession(id int, p *peer, tcp net.Conn, subnet netip.Prefix) *session {
	s := &session{id: id, peer: p, tcp: tcp, subnet: subnet, wake: make(chan struct{}, 1), pending: map[netip.Prefix]*advert{}}
	s.heardAt.Store(monotime.Now())
	return s
}

// send queues a message ahead of all routes. It never blocks.
func (s *session) send(msg []byte) {
	s.mu.Lock()
	s.control = append(s.control, msg...)
	s.mu.Unlock()
	s.urgent.Store(true)
	signal(s.wake)
}

// queue brings the peer up to date about a prefix; nil withdraws. The latest
// wins when the peer is slow.
func (s *session) queue(p netip.Prefix, a *advert) {
	s.mu.Lock()
	s.pending[p] = a
	s.mu.Unlock()
}

// queueEndOfRIB sends the marker behind all that is queued so far.
func (s *session) queueEndOfRIB() {
	s.mu.Lock()
	s.eor = true
	s.mu.Unlock()
	signal(s.wake)
}

// flush lets the writer take what was queued.
func (s *session) flush() {
	s.mu.Lock()
	waiting := len(s.pending) > 0
	s.mu.Unlock()
	if waiting {
		signal(s.wake)
	}
}

// close says why, if there is a reason to say, and closes the connection
// without blocking the caller.
func (s *session) close(n *notification) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	if n != nil {
		s.control = append(s.control, mustMessage(bgp.NewBGPNotificationMessage(n.code, n.subcode, n.data))...)
	}
	s.mu.Unlock()
	s.urgent.Store(true)
	wait := goodbye
	if n == nil {
		wait = 0 // nothing to say: let go of a writer that is stuck
	}
	_ = s.tcp.SetWriteDeadline(time.Now().Add(wait)) // fails on a closed socket only
	signal(s.wake)
}

// write runs until the session is closed.
func (s *session) write() {
	defer s.tcp.Close() //nolint:errcheck // read reports how the connection ended
	w := bufio.NewWriterSize(s.tcp, 1<<16)
	k := &packer{family: s.peer.family, emit: func(b []byte) error { return s.emit(w, b) }}
	for range s.wake {
		if err := s.drain(w, k); err != nil {
			return
		}
	}
}

// drain writes everything that is queued.
func (s *session) drain(w *bufio.Writer, k *packer) error {
	if err := s.writeControl(w); err != nil {
		return err
	}
	s.mu.Lock()
	pending, eor := s.pending, s.eor
	s.eor = false
	if len(pending) > 0 {
		s.pending = map[netip.Prefix]*advert{}
	}
	s.mu.Unlock()
	var gone []netip.Prefix
	groups := map[*advert][]netip.Prefix{}
	for p, a := range pending {
		if a == nil {
			gone = append(gone, p)
			continue
		}
		groups[a] = append(groups[a], p)
	}
	if err := k.withdraw(gone); err != nil {
		return err
	}
	for a, ps := range groups {
		if err := k.announce(a, ps); err != nil {
			return err
		}
	}
	if eor {
		if err := s.emit(w, endOfRIB(s.peer.family)); err != nil {
			return err
		}
	}
	if err := s.extend(); err != nil {
		return errors.Join(err, s.writeControl(w))
	}
	return w.Flush()
}

// emit writes one message of routes, after any control message that waits.
func (s *session) emit(w *bufio.Writer, b []byte) error {
	if s.urgent.Load() {
		if err := s.writeControl(w); err != nil {
			return err
		}
	}
	if w.Available() < len(b) {
		if err := s.extend(); err != nil {
			return err
		}
	}
	_, err := w.Write(b)
	return err
}

// extend gives the next write its full time, unless the session is closing.
func (s *session) extend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return errClosing
	}
	return s.tcp.SetWriteDeadline(time.Now().Add(sendHold))
}

func (s *session) writeControl(w *bufio.Writer) error {
	s.mu.Lock()
	control, closing := s.control, s.closing
	s.control = nil
	s.urgent.Store(false)
	s.mu.Unlock()
	if _, err := w.Write(control); err != nil {
		return err
	}
	if closing {
		return errors.Join(errClosing, w.Flush())
	}
	return nil
}

// read delivers messages to the router until the connection ends.
func (s *session) read(r *Router) {
	in := bufio.NewReaderSize(s.tcp, 1<<16)
	buf := make([]byte, maxMessage)
	var dec *decoder
	for {
		kind, body, err := readMessage(in, buf)
		if err == nil {
			s.heardAt.Store(monotime.Now())
			dec, err = s.handle(r, dec, kind, body)
		}
		var n *notification
		switch {
		case errors.As(err, &n):
			r.sessionError(s, n)
			return
		case errors.Is(err, errEnded):
			return
		case err != nil:
			r.sessionLost(s, lossReason(err))
			return
		}
	}
}

// handle takes one message. It returns the decoder, which the OPEN makes.
func (s *session) handle(r *Router, dec *decoder, kind uint8, body []byte) (*decoder, error) {
	switch kind {
	case bgp.BGP_MSG_OPEN:
		msg := &bgp.BGPOpen{}
		if err := msg.DecodeFromBytes(body); err != nil {
			return dec, asNotification(err)
		}
		return r.sessionOpen(s, msg)
	case bgp.BGP_MSG_KEEPALIVE:
		r.sessionKeepalive(s)
	case bgp.BGP_MSG_NOTIFICATION:
		n := &notification{code: body[0], subcode: body[1], data: body[2:]}
		n.detail = shutdownText(n)
		r.sessionNotified(s, n)
		return dec, errEnded
	case bgp.BGP_MSG_UPDATE:
		if dec == nil {
			return dec, &notification{bgp.BGP_ERROR_FSM_ERROR, 1, nil, "UPDATE in OpenSent"}
		}
		u, n := dec.decode(body)
		if n != nil {
			return dec, n
		}
		return dec, r.sessionUpdate(s, u)
	case bgp.BGP_MSG_ROUTE_REFRESH:
		r.sessionRefresh(s, bgp.AfiSafiToRouteFamily(binary.BigEndian.Uint16(body), body[3]))
	}
	return dec, nil
}

// readMessage reads one message and checks its header (RFC 4271 §6.1).
func readMessage(in io.Reader, buf []byte) (kind uint8, body []byte, err error) {
	head := buf[:headerLen]
	if _, err := io.ReadFull(in, head); err != nil {
		return 0, nil, err
	}
	for _, b := range head[:16] {
		if b != 0xff {
			return 0, nil, &notification{bgp.BGP_ERROR_MESSAGE_HEADER_ERROR, bgp.BGP_ERROR_SUB_CONNECTION_NOT_SYNCHRONIZED, nil, "bad marker"}
		}
	}
	size, kind := int(binary.BigEndian.Uint16(head[16:])), head[18]
	bad := false
	switch kind {
	case bgp.BGP_MSG_OPEN:
		bad = size < headerLen+10
	case bgp.BGP_MSG_UPDATE:
		bad = size < headerLen+4
	case bgp.BGP_MSG_NOTIFICATION:
		bad = size < headerLen+2
	case bgp.BGP_MSG_KEEPALIVE:
		bad = size != headerLen
	case bgp.BGP_MSG_ROUTE_REFRESH:
		bad = size < headerLen+4
	default:
		return 0, nil, &notification{bgp.BGP_ERROR_MESSAGE_HEADER_ERROR, bgp.BGP_ERROR_SUB_BAD_MESSAGE_TYPE, []byte{kind}, fmt.Sprintf("type %d", kind)}
	}
	if bad || size > maxMessage {
		return 0, nil, &notification{bgp.BGP_ERROR_MESSAGE_HEADER_ERROR, bgp.BGP_ERROR_SUB_BAD_MESSAGE_LENGTH, []byte{head[16], head[17]}, fmt.Sprintf("length %d", size)}
	}
	body = buf[headerLen:size]
	_, err = io.ReadFull(in, body)
	return kind, body, err
}

// asNotification turns a codec error into what to send for it.
func asNotification(err error) error {
	var e *bgp.MessageError
	if !errors.As(err, &e) {
		return err
	}
	return &notification{e.TypeCode, e.SubTypeCode, e.Data, e.Message}
}

// shutdownText reads the shutdown communication (RFC 9003).
func shutdownText(n *notification) string {
	if n.code != bgp.BGP_ERROR_CEASE || len(n.data) == 0 || len(n.data) < 1+int(n.data[0]) ||
		(n.subcode != bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN && n.subcode != bgp.BGP_ERROR_SUB_ADMINISTRATIVE_RESET) {
		return ""
	}
	return string(n.data[1 : 1+int(n.data[0])])
}

func lossReason(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "peer closed the connection"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return "connection lost: " + op.Err.Error()
	}
	return "connection lost: " + err.Error()
}
