package bgp

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gwlab/gateway/config"
)

// TestConnectTimeAgainstGoBGP records why this package has its own state
// machine: how long either takes from being told of a peer until the session
// is up, the other end listening already. GoBGP's server waits a random
// second or two before its first connect; nothing is asserted about that.
func TestConnectTimeAgainstGoBGP(t *testing.T) {
	needRoot(t)
	t.Run("gobgp dials", func(t *testing.T) {
		c := farConfig{}
		p := pair(t, newGoBGP, c, func(c *config.Config) { c.Neighbors[0].Passive = true })
		s := p.run(t)
		p.far.start()
		s.awaitEvent(t, "session", isUp)
		path := filepath.Join(p.far.(*gobgp).config.Dir, "established")
		var text []byte
		waitFor(t, "GoBGP's own measure", func() bool {
			b, err := os.ReadFile(path)
			text = b
			return err == nil && len(b) > 0
		})
		t.Logf("GoBGP v3 server: AddPeer to Established %s", text)
	})
	t.Run("router dials", func(t *testing.T) {
		p := pair(t, newGoBGP, farConfig{Passive: true}, nil)
		p.far.start()
		waitFor(t, "GoBGP to listen", func() bool {
			_, err := os.Stat(filepath.Join(p.far.(*gobgp).config.Dir, "learned"))
			return err == nil
		})
		began := time.Now()
		s := p.run(t)
		s.awaitEvent(t, "session", isUp)
		t.Logf("this package: Run to Established %s", time.Since(began))
	})
}
