package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

const (
	// pollEvery is how often the receiver empties its sockets. The kernel
	// has stamped the packets already, so waking for each would only cost.
	pollEvery = 5 * time.Millisecond
	batch     = 64
	// controlSize has room for SCM_TIMESTAMPNS and SO_RXQ_OVFL.
	controlSize = 128
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// inbox is one receiving socket.
type inbox struct {
	fd       int
	overruns uint32 // the kernel's own count of packets it had no room for
}

// receiver empties the sockets of a session into its records.
type receiver struct {
	run     uint64
	records map[uint16]*record
	boxes   []inbox
	offset  int64 // wall clock minus monotonic clock, ns
	foreign uint64
	stop    atomic.Bool

	headers  [batch]mmsghdr
	vectors  [batch]unix.Iovec
	payloads [batch][PacketSize + 1]byte // one more, to see a packet that is too long
	controls [batch][controlSize]byte
}

func newReceiver(run uint64, records map[uint16]*record, fds []int) *receiver {
	r := &receiver{run: run, records: records, offset: monotime.RealOffset()}
	for _, fd := range fds {
		r.boxes = append(r.boxes, inbox{fd: fd})
	}
	for i := range r.headers {
		r.vectors[i].Base = &r.payloads[i][0]
		r.vectors[i].SetLen(len(r.payloads[i]))
		r.headers[i].header.Iov = &r.vectors[i]
		r.headers[i].header.SetIovlen(1)
		r.headers[i].header.Control = &r.controls[i][0]
	}
	return r
}

// loop receives until stop is set, then once more what is there already. It
// keeps the goroutine's thread: the goroutine must end after it.
func (r *receiver) loop() error {
	runtime.LockOSThread()
	becomeRealTime()
	next := monotime.Now()
	for {
		last := r.stop.Load()
		for i := range r.boxes {
			if err := r.drain(&r.boxes[i]); err != nil {
				return fmt.Errorf("receive: %w", err)
			}
		}
		if last {
			return nil
		}
		next = max(next+int64(pollEvery), monotime.Now())
		if err := sleepUntil(next); err != nil {
			return err
		}
	}
}

// drain empties a socket.
func (r *receiver) drain(box *inbox) error {
	for {
		for i := range r.headers {
			r.headers[i].header.SetControllen(controlSize)
			r.headers[i].header.Flags = 0
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(box.fd),
			uintptr(unsafe.Pointer(&r.headers[0])), batch, unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errors.Is(errno, unix.EAGAIN):
			return nil
		case errors.Is(errno, unix.EINTR), errors.Is(errno, unix.ECONNREFUSED):
			continue
		case errno != 0:
			return errno
		}
		for i := range int(n) {
			control := r.controls[i][:r.headers[i].header.Controllen]
			stamp, overruns := parseControl(control)
			box.overruns = max(box.overruns, overruns)
			r.take(r.payloads[i][:r.headers[i].length], stamp)
		}
		if n < batch {
			return nil
		}
	}
}

// take records one payload that the kernel stamped at the wall clock's stamp,
// in ns; 0 for a packet without one, which counts as received now.
func (r *receiver) take(payload []byte, stamp int64) {
	p, err := parsePacket(payload)
	rec := r.records[p.Flow]
	if err != nil || p.Run != r.run || rec == nil {
		r.foreign++
		return
	}
	at := stamp - r.offset
	if stamp == 0 {
		at = monotime.Now()
	}
	if !rec.receive(p.Seq, at) {
		r.foreign++
	}
}

// overruns is the number of packets that no receive buffer had room for.
func (r *receiver) overruns() (n uint64) {
	for _, b := range r.boxes {
		n += uint64(b.overruns)
	}
	return n
}

// parseControl reads the receive stamp, in ns of the wall clock, and the
// socket's overflow count from ancillary data; what is missing is 0.
func parseControl(b []byte) (stamp int64, overruns uint32) {
	for len(b) >= unix.SizeofCmsghdr {
		length := binary.NativeEndian.Uint64(b)
		level := int32(binary.NativeEndian.Uint32(b[8:]))
		kind := int32(binary.NativeEndian.Uint32(b[12:]))
		if length < unix.SizeofCmsghdr || length > uint64(len(b)) {
			return stamp, overruns
		}
		data := b[unix.SizeofCmsghdr:length]
		switch {
		case level != unix.SOL_SOCKET:
		case kind == unix.SCM_TIMESTAMPNS && len(data) >= 16:
			stamp = int64(binary.NativeEndian.Uint64(data))*int64(time.Second) + int64(binary.NativeEndian.Uint64(data[8:]))
		case kind == unix.SO_RXQ_OVFL && len(data) >= 4:
			overruns = binary.NativeEndian.Uint32(data)
		}
		b = b[min(uint64(len(b)), uint64(unix.CmsgSpace(len(data)))):]
	}
	return stamp, overruns
}
