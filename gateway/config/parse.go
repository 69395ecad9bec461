package config

import (
	"time"

	"gwlab/internal/strictyaml"
)

// Parse reads a configuration, fills in the defaults and validates it. file
// is only a name: errors are strictyaml's, "file:line:column: what, and how
// to mend it", as many as there are.
func Parse(file string, src []byte) (Config, error) {
	doc, err := strictyaml.Parse(file, src)
	if err != nil {
		return Config{}, err
	}
	in := schemaOf(Default())
	if err := doc.Decode(&in); err != nil {
		return Config{}, err
	}
	c := in.config()
	v := validator{doc: doc}
	v.config(c, in)
	if err := v.errs.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// config resolves what keys leave to defaults and to each other.
func (in fileSchema) config() Config {
	c := Config{
		ASN: in.ASN, RouterID: in.RouterID, Socket: in.Socket, StateDir: in.StateDir, Metrics: in.Metrics,
		Drain: in.Drain, Table: in.Table, MultipathHash: in.MultipathHash,
		BFD: in.BFD.over(BFD{}),
		BGP: BGP{
			Port: in.BGP.Port, HoldTime: in.BGP.HoldTime, Keepalive: in.BGP.Keepalive,
			ConnectRetry: in.BGP.ConnectRetry, Multipath: in.BGP.Multipath,
			GracefulRestart: GracefulRestart{
				Off:               !in.BGP.GracefulRestart.Enabled,
				RestartTime:       in.BGP.GracefulRestart.RestartTime,
				SelectionDeferral: in.BGP.GracefulRestart.SelectionDeferral,
			},
		},
	}
	if c.BGP.Keepalive == 0 {
		c.BGP.Keepalive = c.BGP.HoldTime / 3
	}
	for _, n := range in.Networks {
		c.Networks = append(c.Networks, Network(n))
	}
	for _, n := range in.Neighbors {
		c.Neighbors = append(c.Neighbors, n.neighbor(c.BFD))
	}
	return c
}

// over merges the keys that are written over what holds without them.
func (in bfdSchema) over(base BFD) BFD {
	if in.Enabled != nil {
		base.Off = !*in.Enabled
	}
	if in.Interval != 0 {
		base.Interval = in.Interval
	}
	if in.Multiplier != 0 {
		base.Multiplier = in.Multiplier
	}
	return base
}

func (in neighborSchema) neighbor(bfd BFD) Neighbor {
	n := Neighbor{
		Name: in.Name, Address: in.Address, Interface: in.Interface, ASN: in.ASN, Passive: in.Passive,
		Password: in.Password, TTLSecurity: in.TTLSecurity, NextHopSelf: in.NextHopSelf, MaxPrefixes: in.MaxPrefixes,
		BFD:    in.BFD.over(bfd),
		Import: Filter{Prefixes: rules(in.Import.Prefixes)},
		Export: Filter{Prefixes: rules(in.Export.Prefixes), Prepend: in.Export.Prepend},
	}
	if n.Name == "" {
		n.Name = n.Address.String()
	}
	if in.LocalAddress != nil {
		n.LocalAddress = *in.LocalAddress
	}
	if in.Import.LocalPref != nil {
		n.Import.LocalPref = *in.Import.LocalPref
	}
	if in.Export.MED != nil {
		n.Export.MED, n.Export.MEDSet = *in.Export.MED, true
	}
	for _, c := range in.Export.Communities {
		n.Export.Communities = append(n.Export.Communities, uint32(c))
	}
	return n
}

// rules keeps the difference between no list (accept all) and an empty one (none).
func rules(in *[]ruleSchema) []PrefixRule {
	if in == nil {
		return nil
	}
	out := make([]PrefixRule, 0, len(*in))
	for _, r := range *in {
		out = append(out, PrefixRule(r))
	}
	return out
}

// Keys lists every key of the configuration file, "neighbors[].bfd.interval"
// and so on, in the order of the reference.
func Keys() []string { return strictyaml.KeyPaths(fileSchema{}) }

// seconds tells whether a time fits a protocol field that counts seconds.
func seconds(d time.Duration) bool { return d%time.Second == 0 }
