package config

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"time"

	"gwlab/internal/strictyaml"
)

// Limits of what one gateway carries; they keep a slip of the pen in a
// synthetic table from filling the machine's memory.
const (
	maxNeighbors = 1024
	maxNetworks  = 2_000_000 // prefixes originated
	maxSocket    = 107       // bytes of sun_path less its terminator, unix(7)
	maxPassword  = 80        // TCP_MD5SIG_MAXKEYLEN, linux/tcp.h
	maxPrepend   = 16
)

type validator struct {
	doc  *strictyaml.Document
	errs strictyaml.Errors
}

func (v *validator) errorf(path, format string, args ...any) {
	v.errs = append(v.errs, v.doc.Errorf(path, format, args...))
}

// duration checks a time's range, both ends included.
func (v *validator) duration(path string, got, lo, hi time.Duration) {
	if got < lo || got > hi {
		v.errorf(path, "%s is out of range: %s … %s", got, lo, hi)
	}
}

// number checks an integer's range, both ends included.
func (v *validator) number(path string, got, lo, hi int) {
	if got < lo || got > hi {
		v.errorf(path, "%d is out of range: %d … %d", got, lo, hi)
	}
}

func (v *validator) config(c Config, in fileSchema) {
	v.asn("$.asn", c.ASN)
	if !c.RouterID.Is4() || c.RouterID.IsUnspecified() {
		v.errorf("$.router-id", "router-id %s: write an IPv4 address other than 0.0.0.0 (RFC 6286)", c.RouterID)
	}
	for key, p := range map[string]string{"$.socket": c.Socket, "$.state-dir": c.StateDir} {
		if !path.IsAbs(p) {
			v.errorf(key, "%q is not an absolute path", p)
		}
	}
	if len(c.Socket) > maxSocket {
		v.errorf("$.socket", "path of %d bytes: a unix socket has at most %d", len(c.Socket), maxSocket)
	}
	if c.Metrics != "" {
		v.hostPort("$.metrics", c.Metrics)
	}
	// 0 is "unspecified" and 255 the kernel's own (rtnetlink(7)).
	if c.Table == 255 || c.Table < 1 || c.Table > 1<<31-1 {
		v.errorf("$.table", "table %d: write 254 (main) or another of 1 … %d except 255 (local)", c.Table, 1<<31-1)
	}
	if known := []string{"l3", "l4", "inner"}; !slices.Contains(known, c.MultipathHash) {
		v.errorf("$.multipath-hash", "%s", strictyaml.Unknown("multipath-hash", c.MultipathHash, known))
	}
	v.duration("$.drain", c.Drain, 0, 10*time.Minute)
	v.bfd("$.bfd", in.BFD)
	v.bgp(c.BGP)
	v.networks(c.Networks)
	v.neighbors(c, in)
}

func (v *validator) asn(path string, asn uint32) {
	switch asn {
	case 0, 65535, 4294967295: // RFC 7607, RFC 7300
		v.errorf(path, "AS %d is reserved: write 1 … 4294967294, except 23456 and 65535", asn)
	case 23456:
		v.errorf(path, "AS 23456 is AS_TRANS (RFC 6793): write your own number")
	}
}

func (v *validator) hostPort(path, s string) {
	_, port, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 {
		v.errorf(path, "%q is not host:port: write 127.0.0.1:9179 or :9179", s)
	}
}

// bfd checks what is written; a neighbor's zero values inherit.
func (v *validator) bfd(path string, in bfdSchema) {
	if v.written(path + ".interval") {
		v.duration(path+".interval", in.Interval, 10*time.Millisecond, time.Minute)
	}
	if v.written(path + ".multiplier") {
		v.number(path+".multiplier", in.Multiplier, 1, 255)
	}
}

func (v *validator) written(path string) bool { return !v.doc.At(path).IsZero() }

func (v *validator) bgp(b BGP) {
	v.number("$.bgp.port", b.Port, 1, 65535)
	switch { // RFC 4271 §4.2
	case b.HoldTime > 0 && b.HoldTime < 3*time.Second:
		v.errorf("$.bgp.hold-time", "hold-time %s: RFC 4271 wants 0s or at least 3s; for faster detection use bfd", b.HoldTime)
	case b.HoldTime > 65535*time.Second || !seconds(b.HoldTime):
		v.errorf("$.bgp.hold-time", "hold-time %s: write 0s, or whole seconds of 3s … 65535s", b.HoldTime)
	case b.HoldTime == 0 && b.Keepalive != 0:
		v.errorf("$.bgp.keepalive", "keepalive %s without a hold-time: remove it, or set hold-time", b.Keepalive)
	case b.HoldTime > 0 && (b.Keepalive < time.Second || b.Keepalive >= b.HoldTime):
		v.errorf("$.bgp.keepalive", "keepalive %s: write at least 1s and less than hold-time %s", b.Keepalive, b.HoldTime)
	}
	v.duration("$.bgp.connect-retry", b.ConnectRetry, 10*time.Millisecond, time.Hour)
	v.number("$.bgp.multipath", b.Multipath, 1, 64)
	gr := b.GracefulRestart // RFC 4724 §3: 12 bits of seconds
	if gr.RestartTime < time.Second || gr.RestartTime > 4095*time.Second || !seconds(gr.RestartTime) {
		v.errorf("$.bgp.graceful-restart.restart-time", "restart-time %s: write whole seconds of 1s … 4095s", gr.RestartTime)
	}
	v.duration("$.bgp.graceful-restart.selection-deferral", gr.SelectionDeferral, time.Second, time.Hour)
}

func (v *validator) networks(networks []Network) {
	seen, total := map[Network]int{}, 0
	for i, n := range networks {
		path := fmt.Sprintf("$.networks[%d]", i)
		v.prefix(path+".prefix", n.Prefix)
		if first, ok := seen[n]; ok {
			v.errorf(path+".prefix", "duplicate network %s: line %d has it already", n.Prefix,
				v.doc.At(fmt.Sprintf("$.networks[%d].prefix", first)).Line())
			continue
		}
		seen[n] = i
		v.synthetic(path, n)
		total += max(1, n.Count)
	}
	if total > maxNetworks {
		v.errorf("$.networks", "%d prefixes originated: at most %d", total, maxNetworks)
	}
}

// synthetic checks the form that cuts many prefixes out of one.
func (v *validator) synthetic(path string, n Network) {
	written := v.written(path+".length") || v.written(path+".count")
	switch width := n.Prefix.Addr().BitLen(); {
	case !written:
	case !v.written(path+".length") || !v.written(path+".count"):
		v.errorf(path+".prefix", "length and count come together: write both or neither")
	case n.Length < n.Prefix.Bits() || n.Length > width:
		v.errorf(path+".length", "length %d is out of range: %d … %d", n.Length, n.Prefix.Bits(), width)
	default:
		fit := maxNetworks
		if spare := n.Length - n.Prefix.Bits(); spare < 20 {
			fit = 1 << spare
		}
		v.number(path+".count", n.Count, 1, fit)
	}
}

// prefix refuses host bits: they are a slip in either the address or the length.
func (v *validator) prefix(path string, p netip.Prefix) {
	switch {
	case p.Addr().Is4In6():
		v.errorf(path, "%s maps IPv4 into IPv6: write it as IPv4", p)
	case p != p.Masked():
		v.errorf(path, "%s has host bits set: write %s", p, p.Masked())
	}
}
