package config

import (
	"net/netip"
	"time"
)

// The schema is the YAML form, key by key. Pointers are keys whose absence
// means something else than their zero value.
type fileSchema struct {
	ASN           uint32           `yaml:"asn,required"`
	RouterID      netip.Addr       `yaml:"router-id,required"`
	Socket        string           `yaml:"socket,omitempty"`
	StateDir      string           `yaml:"state-dir,omitempty"`
	Metrics       string           `yaml:"metrics,omitempty"`
	Table         int              `yaml:"table,omitempty"`
	MultipathHash string           `yaml:"multipath-hash,omitempty"`
	Drain         time.Duration    `yaml:"drain"`
	BFD           bfdSchema        `yaml:"bfd,omitempty"`
	BGP           bgpSchema        `yaml:"bgp"`
	Networks      []networkSchema  `yaml:"networks,omitempty"`
	Neighbors     []neighborSchema `yaml:"neighbors,omitempty"`
}

type bfdSchema struct {
	Enabled    *bool         `yaml:"enabled,omitempty"`
	Interval   time.Duration `yaml:"interval,omitempty"`
	Multiplier int           `yaml:"multiplier,omitempty"`
}

type bgpSchema struct {
	Port            int                   `yaml:"port,omitempty"`
	HoldTime        time.Duration         `yaml:"hold-time"`
	Keepalive       time.Duration         `yaml:"keepalive,omitempty"`
	ConnectRetry    time.Duration         `yaml:"connect-retry,omitempty"`
	Multipath       int                   `yaml:"multipath,omitempty"`
	GracefulRestart gracefulRestartSchema `yaml:"graceful-restart"`
}

type gracefulRestartSchema struct {
	Enabled           bool          `yaml:"enabled"`
	RestartTime       time.Duration `yaml:"restart-time,omitempty"`
	SelectionDeferral time.Duration `yaml:"selection-deferral,omitempty"`
}

type networkSchema struct {
	Prefix netip.Prefix `yaml:"prefix,required"`
	Length int          `yaml:"length,omitempty"`
	Count  int          `yaml:"count,omitempty"`
}

type neighborSchema struct {
	Name         string       `yaml:"name,omitempty"`
	Address      netip.Addr   `yaml:"address,required"`
	LocalAddress *netip.Addr  `yaml:"local-address,omitempty"`
	Interface    string       `yaml:"interface,required"`
	ASN          uint32       `yaml:"asn,required"`
	Passive      bool         `yaml:"passive,omitempty"`
	Password     string       `yaml:"password,omitempty"`
	TTLSecurity  bool         `yaml:"ttl-security,omitempty"`
	NextHopSelf  bool         `yaml:"next-hop-self,omitempty"`
	MaxPrefixes  int          `yaml:"max-prefixes,omitempty"`
	BFD          bfdSchema    `yaml:"bfd,omitempty"`
	Import       importSchema `yaml:"import,omitempty"`
	Export       exportSchema `yaml:"export,omitempty"`
}

type importSchema struct {
	Prefixes  *[]ruleSchema `yaml:"prefixes,omitempty"`
	LocalPref *uint32       `yaml:"local-pref,omitempty"`
}

type exportSchema struct {
	Prefixes    *[]ruleSchema `yaml:"prefixes,omitempty"`
	Prepend     int           `yaml:"prepend,omitempty"`
	MED         *uint32       `yaml:"med,omitempty"`
	Communities []Community   `yaml:"communities,omitempty"`
}

type ruleSchema struct {
	Prefix netip.Prefix `yaml:"prefix,required"`
	Ge     int          `yaml:"ge,omitempty"`
	Le     int          `yaml:"le,omitempty"`
}
