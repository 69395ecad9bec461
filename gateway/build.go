package gateway

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"

	"gwlab/gateway/agent"
	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/kernel"
)

// buildParts makes the real parts, in the network namespace of the process.
func buildParts(cfg config.Config, d *Daemon, restarting bool) (parts, error) {
	tuneRuntime()
	fib, err := kernel.New(kernel.Options{
		Table: cfg.Table, MultipathHash: cfg.MultipathHash, HashSeed: hashSeed(cfg.RouterID),
	})
	if err != nil {
		return parts{}, fmt.Errorf("open routes: %w", err)
	}
	if err := fib.Prepare(); err != nil {
		return parts{}, errors.Join(err, fib.Close())
	}
	links, err := kernel.NewLinks()
	if err != nil {
		return parts{}, errors.Join(fmt.Errorf("watch links: %w", err), fib.Close())
	}
	shut := func() error { return errors.Join(links.Close(), fib.Close()) }

	// The siblings call the agent and the agent calls them. None calls before
	// Run, and by then the agent is there.
	var a *agent.Agent
	engine, err := bfd.NewIsolated(bfd.Deps{
		Changes: func(c bfd.Change) { a.OnBFD(c) },
		Log:     d.log,
	})
	if err != nil {
		return parts{}, errors.Join(err, shut())
	}
	speaker, err := bgp.New(cfg, bgp.Deps{
		Updates: func(u bgp.Update) { a.OnUpdate(u) }, Peers: func(e bgp.PeerEvent) { a.OnPeer(e) },
		Log: d.log, Restarting: restarting, AwaitFIB: true,
	})
	if err != nil {
		return parts{}, errors.Join(err, shut())
	}
	a = agent.New(cfg, agent.Deps{Speaker: speaker, BFD: engine, FIB: fib, Links: links, Events: d.meter, Log: d.log})
	return parts{
		speaker: speaker, bfd: engine, fib: fib, agent: a,
		close: func() {
			if err := shut(); err != nil {
				d.log.Warn("close kernel sockets", "error", err)
			}
		},
	}, nil
}

// hashSeed differs between routers and is the same after each restart: with
// equal seeds, routers in a row would send each flow the same way
// (polarisation), and with a new one each flow would move.
func hashSeed(id netip.Addr) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(id.AsSlice()) // cannot fail
	return max(1, h.Sum32())
}
