package bgp

import (
	"testing"
	"time"
)

// FuzzFSM: whatever happens, the machine keeps one session at most, forgets
// closed connections and always has something that moves it on.
func FuzzFSM(f *testing.F) {
	f.Add([]byte{0, 3, 7, 8})
	f.Add([]byte{0, 5, 3, 7, 7, 8, 2, 9})
	f.Add([]byte{11, 0, 10}) // held down before it starts
	f.Fuzz(func(t *testing.T, script []byte) {
		d := newDriver(t, nil)
		next, now := 0, int64(1)
		open, up := map[int]bool{}, false
		for _, b := range script {
			now += int64(b) * int64(100*time.Millisecond)
			id := max(1, next-int(b>>6))
			evs := []event{evStart{}, evReachable{true}, evReachable{false}, nil, evDialFailed{}, nil, evClosed{id, ""},
				evOpen{id, theirOpen("10.0.0.2")}, evKeepalive{id}, evNotified{id, cease(2, "")}, evTick{}, evReset{cease(1, ""), time.Second}}
			ev := evs[int(b&0xf)%len(evs)]
			if ev == nil {
				if b&0xf == 3 && !d.dialing {
					continue
				}
				next++
				open[next] = true
				ev = evAccepted{next}
				if b&0xf == 3 {
					ev = evDialed{next}
				}
			}
			for _, a := range d.step(ev, now) {
				switch v := a.(type) {
				case actClose:
					delete(open, v.id)
				case actUp:
					if up || !open[v.id] {
						t.Fatalf("up %d: already %v, open %v", v.id, up, open)
					}
					up = true
				case actDown:
					if !up {
						t.Fatal("down without a session")
					}
					up = false
				case actSendOpen, actKeepalive, actDial, actCancelDial:
				}
			}
			if len(open) != len(d.links) || up != (d.live != nil) {
				t.Fatalf("%d connections, machine has %d; up %v", len(open), len(d.links), up)
			}
			if d.running() && len(d.links) == 0 && d.deadline() == never {
				t.Fatal("nothing will ever happen again")
			}
		}
	})
}
