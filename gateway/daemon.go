package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gwlab/gateway/config"
	"gwlab/gateway/event"
	"gwlab/internal/monotime"
)

// historyLength is how many events a late reader of the stream still gets:
// hours of a quiet gateway, the whole of any failover.
const historyLength = 8192

// Deps are what a Daemon needs of its surroundings.
type Deps struct {
	Version string
	// Load reads the configuration again, for a reload; nil refuses reloads.
	Load func() (config.Config, error)
	Log  *slog.Logger // nil means silence

	// Seams for tests; nil means the real ones.
	capable func(config.Config) error
	free    func(context.Context, config.Config) error
	build   builder
}

// Daemon is one gateway. Make one with New.
type Daemon struct {
	deps   Deps
	log    *slog.Logger
	bus    *event.Bus
	meter  *meter
	start  int64
	mark   mark
	change sync.Mutex // held by one reload at a time

	mu          sync.Mutex // guards what follows
	cfg         config.Config
	configError string
	draining    bool
	parts       parts // zero before Run
}

// New returns a daemon at rest.
func New(cfg config.Config, deps Deps) *Daemon {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.build == nil {
		deps.capable, deps.free, deps.build = checkCapabilities, checkPort, buildParts
	}
	bus := event.NewBus(historyLength)
	return &Daemon{deps: deps, log: deps.Log, bus: bus, meter: newMeter(bus), cfg: cfg, start: monotime.Now()}
}

// Run is the daemon's life. The end of ctx stops it gracefully: it tells the
// peers (RFC 8326), waits as configured, closes the sessions and removes what
// it owns in the kernel. Any other end is an error and leaves the kernel
// forwarding, for the next start to adopt.
func (d *Daemon) Run(ctx context.Context) error {
	cfg := d.config()
	if err := d.deps.capable(cfg); err != nil {
		return err
	}
	socket, err := listenSocket(ctx, cfg.Socket)
	if err != nil {
		return err
	}
	defer socket.Close() //nolint:errcheck // closed already when all went well
	if err := d.deps.free(ctx, cfg); err != nil {
		return err
	}
	listeners := map[net.Listener]http.Handler{}
	metrics := metricsHandler(d.meter, d.Status)
	if cfg.Metrics != "" {
		l, err := listenMetrics(ctx, cfg.Metrics)
		if err != nil {
			return err
		}
		defer l.Close() //nolint:errcheck // closed already when all went well
		listeners[l] = onlyMetrics(metrics)
	}
	// From here on the kernel is touched, and the mark says so.
	d.mark, err = newMark(cfg.StateDir)
	if err != nil {
		return err
	}
	crashed, err := d.mark.set()
	if err != nil {
		return err
	}
	p, err := d.deps.build(cfg, d, crashed)
	if err != nil {
		return fmt.Errorf("build daemon: %w", err)
	}
	defer p.close()
	d.mu.Lock()
	d.parts = p
	d.mu.Unlock()
	listeners[socket] = d.api(p, metrics).handler()
	d.log.Info("gatewayd starts", "version", d.deps.Version, "asn", cfg.ASN, "router-id", cfg.RouterID,
		"neighbors", len(cfg.Neighbors), "restarting", crashed)
	d.emit(event.ConfigGood, nil)
	return d.work(ctx, p, listeners)
}

// work runs the parts until ctx ends and the stop is done, or one of them fails.
func (d *Daemon) work(ctx context.Context, p parts, listeners map[net.Listener]http.Handler) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, gctx := errgroup.WithContext(life)
	for name, run := range p.runs() {
		g.Go(func() error { return d.runPart(gctx, name, run) })
	}
	for l, h := range listeners {
		g.Go(func() error { return serve(gctx, l, h) })
	}
	stopped := false
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-gctx.Done():
			return nil
		}
		stopped = true
		d.drain(gctx, p)
		end()
		return nil
	})
	err := g.Wait()
	if err != nil || !stopped {
		return err
	}
	if err := p.fib.CleanUp(); err != nil {
		return fmt.Errorf("remove routes: %w", err)
	}
	d.log.Info("gatewayd stopped")
	return d.mark.clear()
}

// runPart makes the silent end of a part an error: all of them work until told.
func (d *Daemon) runPart(ctx context.Context, name string, run func(context.Context) error) error {
	err := run(ctx)
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())):
		return nil
	case err == nil:
		return fmt.Errorf("run %s: it ended by itself", name)
	default:
		return fmt.Errorf("run %s: %w", name, err)
	}
}

// drain lets the peers move their traffic away before the sessions end.
func (d *Daemon) drain(ctx context.Context, p parts) {
	d.mu.Lock()
	d.draining = true
	wait := d.cfg.Drain
	d.mu.Unlock()
	d.log.Info("gatewayd drains", "for", wait)
	d.emit(event.Drain, nil)
	p.speaker.Drain()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (d *Daemon) config() config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

func (d *Daemon) emit(kind string, data map[string]string) {
	d.meter.Emit(event.Event{T: monotime.Now(), Kind: kind, Data: data})
}

func (d *Daemon) api(p parts, metrics http.Handler) *api {
	return &api{
		status: d.Status, dump: p.fib.Dump, routes: p.speaker.Routes, reload: d.Reload,
		metrics: metrics, bus: d.bus,
	}
}

// Status is the daemon as the operator sees it.
func (d *Daemon) Status() Status {
	d.mu.Lock()
	s := Status{
		Version: d.deps.Version, PID: os.Getpid(), Start: d.start, ASN: d.cfg.ASN, RouterID: d.cfg.RouterID,
		Draining: d.draining, ConfigError: d.configError,
	}
	cfg, p := d.cfg, d.parts
	d.mu.Unlock()
	c := d.meter.counted()
	s.FIB = c.fib()
	if p.speaker != nil {
		s.Peers, s.BFD, s.RealTime = p.speaker.Status(), p.bfd.Status(), p.bfd.RealTime()
		s.FIB.Routes, s.FIB.Programmed = p.agent.Routes(), p.agent.Programmed()
	}
	s.Now = monotime.Now()
	s.Pending = pending(cfg, s.Peers, c.synced, s.BFD, s.FIB)
	if s.Draining {
		s.Pending = append(s.Pending, "daemon: draining")
	}
	s.Ready = len(s.Pending) == 0
	return s
}
