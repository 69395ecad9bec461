package config

import (
	"fmt"

	"gwlab/internal/strictyaml"
)

// Marshal writes the configuration as YAML that [Parse] reads back into the
// same Config. Zero values of a Config made in code become the defaults,
// except HoldTime and Drain, where zero means zero, and ASN and RouterID,
// which have none: start from [Default]. A Config that Parse would refuse is
// an error.
func (c Config) Marshal() ([]byte, error) {
	for _, n := range c.Neighbors {
		if err := expressible(n); err != nil {
			return nil, fmt.Errorf("marshal configuration: neighbor %s: %w", n.Address, err)
		}
	}
	out, err := strictyaml.Marshal(schemaOf(c))
	if err != nil {
		return nil, fmt.Errorf("marshal configuration: %w", err)
	}
	if _, err := Parse("configuration", out); err != nil {
		return nil, fmt.Errorf("marshal configuration: %w", err)
	}
	return out, nil
}

// expressible refuses what a Filter holds in a direction it does not work in.
func expressible(n Neighbor) error {
	i, e := n.Import, n.Export
	switch {
	case i.Prepend != 0 || i.MEDSet || len(i.Communities) != 0:
		return fmt.Errorf("prepend, MED and communities are set on export only")
	case e.LocalPref != 0:
		return fmt.Errorf("local-pref is set on import only")
	}
	return nil
}

func schemaOf(c Config) fileSchema {
	out := fileSchema{
		ASN: c.ASN, RouterID: c.RouterID, Socket: c.Socket, StateDir: c.StateDir, Metrics: c.Metrics,
		Table: c.Table, MultipathHash: c.MultipathHash, Drain: c.Drain, BFD: bfdOf(c.BFD),
		BGP: bgpSchema{
			Port: c.BGP.Port, HoldTime: c.BGP.HoldTime, Keepalive: c.BGP.Keepalive,
			ConnectRetry: c.BGP.ConnectRetry, Multipath: c.BGP.Multipath,
			GracefulRestart: gracefulRestartSchema{
				Enabled:           !c.BGP.GracefulRestart.Off,
				RestartTime:       c.BGP.GracefulRestart.RestartTime,
				SelectionDeferral: c.BGP.GracefulRestart.SelectionDeferral,
			},
		},
	}
	for _, n := range c.Networks {
		out.Networks = append(out.Networks, networkSchema(n))
	}
	for _, n := range c.Neighbors {
		out.Neighbors = append(out.Neighbors, neighborOf(n))
	}
	return out
}

// bfdOf leaves a zero BFD out, so that it inherits.
func bfdOf(b BFD) bfdSchema {
	if b == (BFD{}) {
		return bfdSchema{}
	}
	return bfdSchema{Enabled: new(!b.Off), Interval: b.Interval, Multiplier: b.Multiplier}
}

func neighborOf(n Neighbor) neighborSchema {
	out := neighborSchema{
		Name: n.Name, Address: n.Address, Interface: n.Interface, ASN: n.ASN, Passive: n.Passive,
		Password: n.Password, TTLSecurity: n.TTLSecurity, NextHopSelf: n.NextHopSelf, MaxPrefixes: n.MaxPrefixes,
		BFD:    bfdOf(n.BFD),
		Import: importSchema{Prefixes: rulesOf(n.Import.Prefixes)},
		Export: exportSchema{Prefixes: rulesOf(n.Export.Prefixes), Prepend: n.Export.Prepend},
	}
	if n.LocalAddress.IsValid() {
		out.LocalAddress = &n.LocalAddress
	}
	if n.Import.LocalPref != 0 {
		out.Import.LocalPref = &n.Import.LocalPref
	}
	if n.Export.MEDSet {
		out.Export.MED = &n.Export.MED
	}
	for _, c := range n.Export.Communities {
		out.Export.Communities = append(out.Export.Communities, Community(c))
	}
	return out
}

func rulesOf(in []PrefixRule) *[]ruleSchema {
	if in == nil {
		return nil
	}
	out := make([]ruleSchema, 0, len(in))
	for _, r := range in {
		out = append(out, ruleSchema(r))
	}
	return &out
}
