package gateway

import (
	"errors"
	"fmt"
	"strings"

	"gwlab/gateway/config"
	"gwlab/gateway/event"
)

// Reload reads the configuration again and applies it. A configuration that
// does not parse, or changes what only a restart can change, is rejected with
// an event; the daemon keeps working by the last good one.
func (d *Daemon) Reload() error {
	d.change.Lock()
	defer d.change.Unlock()
	err := d.reload()
	d.mu.Lock()
	d.configError = ""
	if err != nil {
		d.configError = err.Error()
	}
	d.mu.Unlock()
	if err != nil {
		d.log.Error("configuration rejected, the last good one stays", "error", err)
		d.emit(event.ConfigBad, map[string]string{"error": err.Error()})
		return err
	}
	d.log.Info("configuration applied")
	d.emit(event.ConfigGood, nil)
	return nil
}

func (d *Daemon) reload() error {
	if d.deps.Load == nil {
		return errors.New("reload configuration: there is no file to read again")
	}
	next, err := d.deps.Load()
	if err != nil {
		return err // already "file:line:column: what"
	}
	d.mu.Lock()
	now, p := d.cfg, d.parts
	d.mu.Unlock()
	if fixed := needRestart(now, next); len(fixed) > 0 {
		return fmt.Errorf("reload configuration: %s changed: restart gatewayd for that", strings.Join(fixed, ", "))
	}
	if p.agent == nil {
		return errors.New("reload configuration: the daemon is only starting")
	}
	if err := p.agent.Configure(next); err != nil {
		return fmt.Errorf("apply configuration: %w", err)
	}
	d.mu.Lock()
	d.cfg = next
	d.mu.Unlock()
	return nil
}

// needRestart lists the keys that a running daemon cannot change.
func needRestart(now, next config.Config) []string {
	var out []string
	for _, c := range []struct {
		key     string
		changed bool
	}{
		{"socket", now.Socket != next.Socket},
		{"state-dir", now.StateDir != next.StateDir},
		{"metrics", now.Metrics != next.Metrics},
		{"table", now.Table != next.Table},
		{"multipath-hash", now.MultipathHash != next.MultipathHash},
		{"bgp.port", now.BGP.Port != next.BGP.Port},
	} {
		if c.changed {
			out = append(out, c.key)
		}
	}
	return out
}
