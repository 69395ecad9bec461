package kernel

import "errors"

var errNoID = errors.New("no free nexthop id")

// ids hands out nexthop ids of our range, the longest unused first, so that
// an observer does not see an id change its meaning quickly.
type ids struct {
	used map[uint32]bool
	next uint32
}

func newIDs() ids { return ids{used: map[uint32]bool{}, next: firstID} }

func (s *ids) take() (uint32, error) {
	for range lastID - firstID + 1 {
		id := s.next
		if s.next++; s.next > lastID {
			s.next = firstID
		}
		if !s.used[id] {
			s.used[id] = true
			return id, nil
		}
	}
	return 0, errNoID
}

// claim takes an id that an earlier run gave out.
func (s *ids) claim(id uint32) {
	s.used[id] = true
	if id >= s.next && id < lastID {
		s.next = id + 1
	}
}

func (s *ids) free(id uint32) { delete(s.used, id) }
