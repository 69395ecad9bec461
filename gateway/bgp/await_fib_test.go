package bgp

import (
	"fmt"
	"maps"
	"testing"

	"gwlab/gateway/config"
)

// A speaker in the middle of two others announces what it has learned only
// once its kernel forwards it, and withdraws without waiting.
func TestAnnouncedOnlyOnceProgrammed(t *testing.T) {
	port := freePort(t)
	at := func(i int) string { return fmt.Sprintf("127.0.252.%d", i) }
	origin := speaker(65001, "10.0.0.1", port, neighbor(at(2), 65002))
	origin.Networks = []config.Network{feed("20.0.0.0/8", 24, 1500)}
	middle := speaker(65002, "10.0.0.2", port, neighbor(at(1), 65001), neighbor(at(3), 65003))
	middle.Networks = []config.Network{{Prefix: prefix("198.51.100.0/24")}}
	far := speaker(65003, "10.0.0.3", port, neighbor(at(2), 65002))

	f := run(t, far, Deps{Net: loopNet{addr(at(3))}})
	m := run(t, middle, Deps{Net: loopNet{addr(at(2))}, AwaitFIB: true})
	o := run(t, origin, Deps{Net: loopNet{addr(at(1))}})

	m.awaitRoutes(t, 1500)
	f.awaitEvent(t, "synced", isSynced)
	f.awaitRoutes(t, 1) // its own network needs no route of the kernel
	if n := m.Status()[1].Advertised; n != 1 {
		t.Errorf("%d prefixes advertised before the kernel had them", n)
	}
	m.mu.Lock()
	told := maps.Clone(m.fib)
	m.mu.Unlock()
	delete(told, prefix("20.0.0.0/24"))
	m.Programmed(told)
	f.awaitRoutes(t, 1500)
	m.Programmed(m.fib)
	f.awaitRoutes(t, 1501)

	o.stop()
	f.awaitRoutes(t, 1)
}

// A restarting speaker's kernel forwards already: nothing is held back, or
// its helpers would sweep at End-of-RIB what is still good (RFC 4724 §4.2).
func TestRestartingHoldsNothingBack(t *testing.T) {
	port := freePort(t)
	at := func(i int) string { return fmt.Sprintf("127.0.253.%d", i) }
	origin := speaker(65001, "10.0.0.1", port, neighbor(at(2), 65002))
	origin.Networks = []config.Network{feed("20.0.0.0/8", 24, 10)}
	middle := speaker(65002, "10.0.0.2", port, neighbor(at(1), 65001), neighbor(at(3), 65003))
	far := speaker(65003, "10.0.0.3", port, neighbor(at(2), 65002))
	f := run(t, far, Deps{Net: loopNet{addr(at(3))}})
	run(t, middle, Deps{Net: loopNet{addr(at(2))}, AwaitFIB: true, Restarting: true})
	run(t, origin, Deps{Net: loopNet{addr(at(1))}})
	f.awaitRoutes(t, 10)
}
