package bgp

import (
	"testing"

	"gwlab/gateway/config"
)

func TestTwoSpeakersExchangeRoutes(t *testing.T) {
	port := freePort(t)
	a := speaker(65001, "10.0.0.1", port, neighbor("127.0.9.2", 65002))
	a.Networks = []config.Network{{Prefix: prefix("198.51.100.0/24")}}
	b := speaker(65002, "10.0.0.2", port, neighbor("127.0.9.1", 65001))
	b.Networks = []config.Network{feed("20.0.0.0/8", 24, 1000)}
	sa := run(t, a, Deps{Net: loopNet{addr("127.0.9.1")}})
	sb := run(t, b, Deps{Net: loopNet{addr("127.0.9.2")}})
	sa.awaitRoutes(t, 1000)
	sb.awaitRoutes(t, 1)
	sa.awaitEvent(t, "synced", isSynced)
	sb.awaitEvent(t, "synced", isSynced)
	t.Logf("%+v", sa.Status())
	sb.stop()
	sa.awaitRoutes(t, 0)
}
