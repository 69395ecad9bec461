package observe

import (
	"strconv"
	"time"
)

// window is how long routes that nobody waits for are gathered into one event.
const window = int64(5 * time.Millisecond)

// burst counts routes since its first one.
type burst struct {
	kind        string
	count       int
	first, last int64
}

// take counts a route.
func (b *burst) take(at int64) {
	if b.count == 0 {
		b.first = at
	}
	b.count++
	b.last = at
}

// due returns when the burst is to be told of, 0 for never.
func (b *burst) due() int64 {
	if b.count == 0 {
		return 0
	}
	return b.first + window
}

// flush returns the burst's event once it is due.
func (b *burst) flush(now int64) (at int64, c change, ok bool) {
	if b.count == 0 || now < b.due() {
		return 0, change{}, false
	}
	at = b.first
	c = change{kind: b.kind, data: map[string]string{
		"count": strconv.Itoa(b.count), "last_ns": strconv.FormatInt(b.last, 10),
	}}
	b.count = 0
	return at, c, true
}
