package topologies

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"gwlab/internal/strictyaml"
)

// fileSpec is a *.topo.yaml as written.
type fileSpec struct {
	Name     string      `yaml:"name,required"`
	About    string      `yaml:"about"`
	Topology networkSpec `yaml:"topology,required"`
}

type networkSpec struct {
	Defaults nodeSpec                 `yaml:"defaults"`
	Kinds    strictyaml.Map[nodeSpec] `yaml:"kinds"`
	Nodes    strictyaml.Map[nodeSpec] `yaml:"nodes,required"`
	Links    []linkSpec               `yaml:"links"`
}

// nodeSpec are the settings of a node, or those it inherits. What is nil was
// not written.
type nodeSpec struct {
	Kind      *string                    `yaml:"kind"`
	Role      *string                    `yaml:"role"`
	ASN       *uint32                    `yaml:"asn"`
	RouterID  *netip.Addr                `yaml:"router-id"`
	Originate []netip.Prefix             `yaml:"originate"`
	Feed      feedSpec                   `yaml:"feed"`
	BFD       bfdSpec                    `yaml:"bfd"`
	BGP       bgpSpec                    `yaml:"bgp"`
	Neighbors strictyaml.Map[policySpec] `yaml:"neighbors"`
	Processes []processSpec              `yaml:"processes"`
	Env       map[string]string          `yaml:"env"`
}

type feedSpec struct {
	IPv4 *int `yaml:"ipv4"`
	IPv6 *int `yaml:"ipv6"`
}

type bfdSpec struct {
	Off    *bool
	Timers bfdTimers
}

type bfdTimers struct {
	Interval   *time.Duration `yaml:"interval"`
	Multiplier *int           `yaml:"multiplier"`
}

// UnmarshalNode reads "off" or the timers.
func (b *bfdSpec) UnmarshalNode(n strictyaml.Node) error {
	off := n.Text() == "off"
	if n.IsScalar() && !off {
		return fmt.Errorf("expected off or {interval, multiplier}, got %q", n.Text())
	}
	b.Off = &off
	if off {
		return nil
	}
	return n.Decode(&b.Timers)
}

type bgpSpec struct {
	HoldTime        *time.Duration `yaml:"hold-time"`
	GracefulRestart *bool          `yaml:"graceful-restart"`
	Multipath       *int           `yaml:"multipath"`
	Password        *string        `yaml:"password"`
	TTLSecurity     *bool          `yaml:"ttl-security"`
}

type policySpec struct {
	LocalPref   uint32         `yaml:"local-pref"`
	Prepend     int            `yaml:"prepend"`
	Import      []netip.Prefix `yaml:"import"`
	Export      []netip.Prefix `yaml:"export"`
	MaxPrefixes int            `yaml:"max-prefixes"`
}

type processSpec struct {
	Name    string   `yaml:"name,required"`
	Command []string `yaml:"command,required"`
	Restart string   `yaml:"restart"`
}

type linkSpec struct {
	Endpoints []Endpoint `yaml:"endpoints,required"`
	Type      string     `yaml:"type"`
	MTU       *int       `yaml:"mtu"`
	IPv4      []string   `yaml:"ipv4"`
	IPv6      []string   `yaml:"ipv6"`
}

// inherit returns over with everything it does not write taken from base.
func inherit(base, over nodeSpec) nodeSpec {
	out := over
	out.Kind = either(over.Kind, base.Kind)
	out.Role = either(over.Role, base.Role)
	out.ASN = either(over.ASN, base.ASN)
	out.RouterID = either(over.RouterID, base.RouterID)
	out.Feed.IPv4 = either(over.Feed.IPv4, base.Feed.IPv4)
	out.Feed.IPv6 = either(over.Feed.IPv6, base.Feed.IPv6)
	out.BFD.Off = either(over.BFD.Off, base.BFD.Off)
	out.BFD.Timers.Interval = either(over.BFD.Timers.Interval, base.BFD.Timers.Interval)
	out.BFD.Timers.Multiplier = either(over.BFD.Timers.Multiplier, base.BFD.Timers.Multiplier)
	out.BGP.HoldTime = either(over.BGP.HoldTime, base.BGP.HoldTime)
	out.BGP.GracefulRestart = either(over.BGP.GracefulRestart, base.BGP.GracefulRestart)
	out.BGP.Multipath = either(over.BGP.Multipath, base.BGP.Multipath)
	out.BGP.Password = either(over.BGP.Password, base.BGP.Password)
	out.BGP.TTLSecurity = either(over.BGP.TTLSecurity, base.BGP.TTLSecurity)
	if over.Originate == nil {
		out.Originate = base.Originate
	}
	if over.Processes == nil {
		out.Processes = base.Processes
	}
	out.Neighbors = slices.Clone(over.Neighbors)
	for _, e := range base.Neighbors {
		if _, written := over.Neighbors.Get(e.Key); !written {
			out.Neighbors = append(out.Neighbors, e)
		}
	}
	out.Env = maps.Clone(base.Env)
	if out.Env == nil {
		out.Env = map[string]string{}
	}
	maps.Copy(out.Env, over.Env)
	return out
}

func either[T any](over, base *T) *T {
	if over != nil {
		return over
	}
	return base
}

func or[T any](p *T, otherwise T) T {
	if p != nil {
		return *p
	}
	return otherwise
}
