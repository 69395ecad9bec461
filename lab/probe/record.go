package probe

import (
	"sync/atomic"
	"time"

	"gwlab/reports/convergence"
)

const (
	chunkSize = 1 << 15 // packets; 512 kB
	// settle is how old a packet must be before progress calls it lost.
	settle = 20 * time.Millisecond
	// maxDuplicates bounds the list of duplicated packets of one flow.
	maxDuplicates = 1 << 20
)

// chunk holds the instants of a stretch of packets. sent is written by the
// sender before it publishes the packet's number; received by the receiver.
type chunk struct {
	sent     [chunkSize]int64
	received [chunkSize]atomic.Int64
}

// record is one flow's packets. One sender, one receiver and one reader of
// progress may use it at a time.
type record struct {
	sent   atomic.Uint64 // packets published by the sender
	chunks []atomic.Pointer[chunk]

	// Of the receiver.
	received   atomic.Uint64 // packets, without duplicates
	next       uint64        // RFC 4737 NextExp
	duplicates []int64       // send instants of the extra copies
	reordered  int

	// Of the reader of progress.
	checked uint64
	clean   int64
}

func newRecord(packets uint64) *record {
	r := &record{chunks: make([]atomic.Pointer[chunk], packets/chunkSize+1)}
	r.prepare()
	return r
}

// prepare keeps a chunk ready ahead of the sender, so that it need not
// allocate; called now and then by another goroutine.
func (r *record) prepare() {
	at := r.sent.Load() / chunkSize
	for i := at; i <= at+1 && i < uint64(len(r.chunks)); i++ {
		r.chunk(i)
	}
}

func (r *record) chunk(i uint64) *chunk {
	if c := r.chunks[i].Load(); c != nil {
		return c
	}
	r.chunks[i].CompareAndSwap(nil, new(chunk))
	return r.chunks[i].Load()
}

// full says that the flow's record can take no more packets.
func (r *record) full() bool { return r.sent.Load() >= uint64(len(r.chunks))*chunkSize }

// send records the next packet as sent at t and returns its number.
func (r *record) send(t int64) uint64 {
	seq := r.sent.Load()
	r.chunk(seq / chunkSize).sent[seq%chunkSize] = t
	r.sent.Store(seq + 1)
	return seq
}

// receive records packet seq as received at t; false for a number that was
// never sent. An extra copy is a duplicate and changes nothing else; a packet
// behind a later one is reordered (RFC 4737 section 3.3). Neither is a loss.
func (r *record) receive(seq uint64, t int64) bool {
	if seq >= r.sent.Load() {
		return false
	}
	c := r.chunk(seq / chunkSize)
	if !c.received[seq%chunkSize].CompareAndSwap(0, t) {
		if len(r.duplicates) < maxDuplicates {
			r.duplicates = append(r.duplicates, c.sent[seq%chunkSize])
		}
		return true
	}
	if seq < r.next {
		r.reordered++
	} else {
		r.next = seq + 1
	}
	r.received.Add(1)
	return true
}

// progress judges the packets that are old enough at now.
func (r *record) progress(id uint16, now int64) convergence.FlowProgress {
	sent := r.sent.Load()
	for ; r.checked < sent; r.checked++ {
		c := r.chunk(r.checked / chunkSize)
		at := c.sent[r.checked%chunkSize]
		if at > now-int64(settle) {
			break
		}
		switch {
		case c.received[r.checked%chunkSize].Load() == 0:
			r.clean = 0
		case r.clean == 0:
			r.clean = at
		}
	}
	return convergence.FlowProgress{ID: id, Sent: sent, Received: r.received.Load(), CleanSince: r.clean}
}

// fill copies the record into f. The sender and the receiver have ended.
func (r *record) fill(f *convergence.Flow) {
	n := r.sent.Load()
	f.Sent, f.Received = make([]int64, n), make([]int64, n)
	for i := range n {
		c := r.chunk(i / chunkSize)
		f.Sent[i], f.Received[i] = c.sent[i%chunkSize], c.received[i%chunkSize].Load()
	}
	f.Duplicated, f.Duplicates, f.Reordered = r.duplicates, len(r.duplicates), r.reordered
}
