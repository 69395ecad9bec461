package convergence

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// samplesMagic begins a sample stream; its last byte is the format's version.
const samplesMagic = "gwlab-samples\x001"

// maxPackets bounds what one flow of a sample stream may claim to hold.
const maxPackets = 1 << 25

// ErrSamples marks a sample stream that is not one, or not whole.
var ErrSamples = errors.New("not a whole sample file")

// WriteSamples writes the packets of the flows: instants as differences in
// variable length, compressed, with a CRC-32C over the uncompressed form, so
// that a truncated or altered stream is never mistaken for a shorter run.
func WriteSamples(w io.Writer, flows []Flow) error {
	if _, err := io.WriteString(w, samplesMagic); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	e := encoder{w: bufio.NewWriterSize(zip, 1<<16)}
	e.unsigned(uint64(len(flows)))
	for _, f := range flows {
		e.flow(f)
	}
	sum := e.sum
	e.unsigned(uint64(sum))
	if err := errors.Join(e.err, e.w.Flush(), zip.Close()); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	return nil
}

type encoder struct {
	w   *bufio.Writer
	sum uint32
	err error
	buf [binary.MaxVarintLen64]byte
}

func (e *encoder) unsigned(v uint64) { e.put(binary.PutUvarint(e.buf[:], v)) }
func (e *encoder) signed(v int64)    { e.put(binary.PutVarint(e.buf[:], v)) }

func (e *encoder) put(n int) {
	e.sum = crc32.Update(e.sum, crc32.MakeTable(crc32.Castagnoli), e.buf[:n])
	if _, err := e.w.Write(e.buf[:n]); err != nil && e.err == nil {
		e.err = err
	}
}

// flow writes the send instants as differences and each receive instant as
// its distance from the send, plus one, with 0 for a packet that never came.
func (e *encoder) flow(f Flow) {
	e.unsigned(uint64(f.ID))
	e.unsigned(uint64(len(f.Sent)))
	var last int64
	for i, sent := range f.Sent {
		e.signed(sent - last)
		last = sent
		received := i < len(f.Received) && f.Received[i] != 0
		switch {
		case !received:
			e.signed(0)
		case f.Received[i] >= sent:
			e.signed(f.Received[i] - sent + 1)
		default:
			e.signed(f.Received[i] - sent)
		}
	}
	e.unsigned(uint64(len(f.Duplicated)))
	last = 0
	for _, at := range f.Duplicated {
		e.signed(at - last)
		last = at
	}
}

// ReadSamples reads what WriteSamples wrote into the flows of the same IDs.
// Every flow must be in the stream and every flow of the stream in flows.
func ReadSamples(r io.Reader, flows []Flow) error {
	magic := make([]byte, len(samplesMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != samplesMagic {
		return fmt.Errorf("read samples: %w", ErrSamples)
	}
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("read samples: %w: %w", ErrSamples, err)
	}
	byID := make(map[uint16]*Flow, len(flows))
	for i := range flows {
		byID[flows[i].ID] = &flows[i]
	}
	d := decoder{r: bufio.NewReaderSize(zip, 1<<16)}
	count := d.unsigned()
	if d.err == nil && count != uint64(len(byID)) {
		return fmt.Errorf("read samples: %w: it holds %d flows, the run has %d", ErrSamples, count, len(byID))
	}
	for range count {
		if err := d.flow(byID); err != nil {
			return fmt.Errorf("read samples: %w: %w", ErrSamples, err)
		}
	}
	want := d.sum
	if got := d.unsigned(); d.err == nil && got != uint64(want) {
		d.err = errors.New("checksum differs")
	}
	if d.err == nil {
		if _, err := d.r.ReadByte(); !errors.Is(err, io.EOF) {
			d.err = errors.New("data after the end")
		}
	}
	if d.err != nil {
		return fmt.Errorf("read samples: %w: %w", ErrSamples, d.err)
	}
	return nil
}

type decoder struct {
	r   *bufio.Reader
	sum uint32
	err error
}

// ReadByte lets encoding/binary read through the checksum.
func (d *decoder) ReadByte() (byte, error) {
	b, err := d.r.ReadByte()
	if err == nil {
		d.sum = crc32.Update(d.sum, crc32.MakeTable(crc32.Castagnoli), []byte{b})
	}
	return b, err
}

func (d *decoder) unsigned() uint64 {
	if d.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(d)
	d.err = err
	return v
}

func (d *decoder) signed() int64 {
	if d.err != nil {
		return 0
	}
	v, err := binary.ReadVarint(d)
	d.err = err
	return v
}

func (d *decoder) flow(byID map[uint16]*Flow) error {
	id := d.unsigned()
	f := byID[uint16(id)]
	if d.err == nil && (id > math.MaxUint16 || f == nil || f.Sent != nil) {
		return fmt.Errorf("flow %d is unknown or there twice", id)
	}
	n := d.unsigned()
	if n > maxPackets {
		return fmt.Errorf("flow %d claims %d packets", id, n)
	}
	sent, received := []int64{}, []int64{}
	var last int64
	for i := uint64(0); i < n && d.err == nil; i++ {
		last += d.signed()
		delay := d.signed()
		sent = append(sent, last)
		switch {
		case delay == 0:
			received = append(received, 0)
		case delay > 0:
			received = append(received, last+delay-1)
		default:
			received = append(received, last+delay)
		}
	}
	if n = d.unsigned(); n > maxPackets {
		return fmt.Errorf("flow %d claims %d duplicates", id, n)
	}
	var duplicated []int64
	last = 0
	for i := uint64(0); i < n && d.err == nil; i++ {
		last += d.signed()
		duplicated = append(duplicated, last)
	}
	if d.err != nil {
		return d.err
	}
	f.Sent, f.Received, f.Duplicated = sent, received, duplicated
	return nil
}
