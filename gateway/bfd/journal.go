package bfd

import (
	"context"
	"log/slog"
	"time"
)

// journal writes transitions to the log away from the packet thread, for a
// log may block.
type journal struct {
	log     *slog.Logger
	entries chan entry
	ended   chan struct{}
}

type entry struct {
	change Change
	gaps   []time.Duration // between the last arrivals, oldest first
}

func newJournal(log *slog.Logger) *journal {
	j := &journal{log: log, entries: make(chan entry, 256), ended: make(chan struct{})}
	go func() {
		defer close(j.ended)
		for e := range j.entries {
			j.write(e)
		}
	}()
	return j
}

// record never blocks: when the log is that slow, the entry is lost.
func (j *journal) record(c Change, p *peer) {
	e := entry{change: c}
	if c.Old == Up {
		e.gaps = p.lastGaps()
	}
	select {
	case j.entries <- e:
	default:
	}
}

func (j *journal) close() {
	close(j.entries)
	<-j.ended
}

func (j *journal) write(e entry) {
	c := e.change
	level := slog.LevelInfo
	if c.PathFailed() {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("interface", c.Key.Interface),
		slog.String("peer", c.Key.Peer.String()),
		slog.String("from", c.Old.String()),
		slog.String("to", c.State.String()),
		slog.String("diag", c.Diag.String()),
		slog.String("remote", c.RemoteState.String()),
	}
	if c.Old == Up {
		attrs = append(attrs, slog.Duration("silent", time.Duration(c.At-c.LastRx)),
			slog.Duration("detect_time", c.DetectTime), slog.Any("last_gaps", e.gaps))
	}
	j.log.LogAttrs(context.Background(), level, "bfd session changed", attrs...)
}
