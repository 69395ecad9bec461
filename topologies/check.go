package topologies

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"gwlab/internal/strictyaml"
)

const (
	defaultBFDInterval   = 50 * time.Millisecond
	defaultBFDMultiplier = 3
	defaultHoldTime      = 9 * time.Second
	defaultMultipath     = 8

	maxLinks = 4000
	maxFeed  = 1 << 17 // as many /27 as 100.64.0.0/10 holds

	maxLabName  = 32
	maxNodeName = 20
	maxPortName = 15 // IFNAMSIZ less the final zero
)

// Kinds are the node kinds a topology may name.
func Kinds() []string {
	return []string{"host", "gateway", "router", "frr", "bird", "bridge", "exec"}
}

// Roles are the places in a network that decide what a speaker announces to whom.
func Roles() []string { return []string{"gateway", "isp", "core", "tor"} }

// LinkTypes are the ways to make a link.
func LinkTypes() []string { return []string{"cable", "veth"} }

// check refuses values that are wrong wherever they are inherited.
func (b *builder) check() {
	net := &b.spec.Topology
	if msg := badName(b.spec.Name, maxLabName); msg != "" {
		b.errorf("$.name", "name %q: %s", b.spec.Name, msg)
	}
	b.errs = append(b.errs, checkNode(b.doc, "$.topology.defaults", net.Defaults)...)
	for _, e := range net.Kinds {
		if !slices.Contains(Kinds(), e.Key) {
			b.keyErrorf(kindPath(e.Key), "%s", strictyaml.Unknown("kind", e.Key, Kinds()))
		}
		if e.Value.Kind != nil {
			b.errorf(kindPath(e.Key)+".kind", "a kind has no kind: remove the key")
		}
		b.errs = append(b.errs, checkNode(b.doc, kindPath(e.Key), e.Value)...)
	}
	if len(net.Nodes) == 0 {
		b.errorf("$.topology.nodes", "a topology has at least one node")
	}
	for _, e := range net.Nodes {
		if msg := badName(e.Key, maxNodeName); msg != "" {
			b.keyErrorf(nodePath(e.Key), "node %q: %s", e.Key, msg)
		}
		b.errs = append(b.errs, checkNode(b.doc, nodePath(e.Key), e.Value)...)
		b.checkFit(e.Key, e.Value)
	}
	for i, l := range net.Links {
		b.checkLink(linkPath(i), l)
	}
}

// checkFit refuses on a node what its kind has no use for. Inherited settings
// are not asked: defaults speak to the nodes that can use them.
func (b *builder) checkFit(name string, spec nodeSpec) {
	kind := or(either(spec.Kind, b.spec.Topology.Defaults.Kind), "")
	if kind != "host" && kind != "bridge" {
		return
	}
	for _, key := range []string{"role", "asn", "router-id", "originate", "feed", "bfd", "bgp", "neighbors"} {
		path := nodePath(name) + "." + key
		if !b.doc.At(path).IsZero() {
			b.keyErrorf(path, "a %s speaks no BGP: remove %s, or choose kind gateway, router, frr or bird", kind, key)
		}
	}
	if kind == "bridge" && spec.Processes != nil {
		b.keyErrorf(nodePath(name)+".processes", "a bridge runs nothing: remove processes, or choose kind exec")
	}
}

func (b *builder) checkLink(path string, l linkSpec) {
	if l.Type != "" && !slices.Contains(LinkTypes(), l.Type) {
		b.errorf(path+".type", "%s", strictyaml.Unknown("link type", l.Type, LinkTypes()))
	}
	if l.MTU != nil && (*l.MTU < 1280 || *l.MTU > 65535) {
		b.errorf(path+".mtu", "mtu %d is out of range: 1280 … 65535 (IPv6 needs 1280)", *l.MTU)
	}
}

// nodeChecks collects what is wrong with one block of settings.
type nodeChecks struct {
	doc  *strictyaml.Document
	path string
	errs strictyaml.Errors
}

func (c *nodeChecks) refuse(wrong bool, key, format string, args ...any) {
	if wrong {
		c.errs = append(c.errs, c.doc.Errorf(c.path+key, format, args...))
	}
}

// checkNode refuses values out of range in one block of settings.
func checkNode(doc *strictyaml.Document, path string, s nodeSpec) strictyaml.Errors {
	c := &nodeChecks{doc: doc, path: path}
	if s.Kind != nil {
		c.refuse(!slices.Contains(Kinds(), *s.Kind), ".kind", "%s", strictyaml.Unknown("kind", *s.Kind, Kinds()))
	}
	if s.Role != nil {
		c.refuse(!slices.Contains(Roles(), *s.Role), ".role", "%s", strictyaml.Unknown("role", *s.Role, Roles()))
	}
	if s.ASN != nil {
		c.refuse(*s.ASN == 0 || *s.ASN == 23456 || *s.ASN == 1<<32-1, ".asn", "AS number %d is reserved: write one like 65001", *s.ASN)
	}
	if s.RouterID != nil {
		c.refuse(!s.RouterID.Is4() || s.RouterID.IsUnspecified(), ".router-id", "router-id %s: write an IPv4 address like 198.19.0.1", s.RouterID)
	}
	for i, p := range s.Originate {
		c.prefix(fmt.Sprintf(".originate[%d]", i), p)
	}
	for key, n := range map[string]*int{".feed.ipv4": s.Feed.IPv4, ".feed.ipv6": s.Feed.IPv6} {
		c.refuse(n != nil && (*n < 0 || *n > maxFeed), key, "a feed of %d prefixes is out of range: 0 … %d", or(n, 0), maxFeed)
	}
	c.timers(s)
	for _, e := range s.Neighbors {
		c.policy(strictyaml.Path(".neighbors", e.Key), e.Value)
	}
	seen := map[string]bool{}
	for i, p := range s.Processes {
		key := fmt.Sprintf(".processes[%d]", i)
		c.refuse(badName(p.Name, maxNodeName) != "", key+".name", "process %q: %s", p.Name, badName(p.Name, maxNodeName))
		c.refuse(seen[p.Name], key+".name", "process %q is named twice", p.Name)
		c.refuse(len(p.Command) == 0, key+".command", "process %q has no command: write [program, argument]", p.Name)
		c.refuse(!slices.Contains([]string{"", "always", "never"}, p.Restart), key+".restart", "%s",
			strictyaml.Unknown("restart policy", p.Restart, []string{"always", "never"}))
		seen[p.Name] = true
	}
	return c.errs
}

func (c *nodeChecks) timers(s nodeSpec) {
	if d := s.BFD.Timers.Interval; d != nil {
		c.refuse(*d < 10*time.Millisecond || *d > time.Minute, ".bfd.interval", "BFD interval %s is out of range: 10ms … 60s", *d)
		c.refuse(*d%time.Millisecond != 0, ".bfd.interval", "BFD interval %s: write whole milliseconds", *d)
	}
	if m := s.BFD.Timers.Multiplier; m != nil {
		c.refuse(*m < 1 || *m > 255, ".bfd.multiplier", "BFD multiplier %d is out of range: 1 … 255", *m)
	}
	if d := s.BGP.HoldTime; d != nil {
		c.refuse(*d != 0 && (*d < 3*time.Second || *d > 65535*time.Second), ".bgp.hold-time",
			"hold time %s is out of range: 0s (none) or 3s … 65535s (RFC 4271)", *d)
		c.refuse(*d%time.Second != 0, ".bgp.hold-time", "hold time %s: write whole seconds", *d)
	}
	if m := s.BGP.Multipath; m != nil {
		c.refuse(*m < 1 || *m > 64, ".bgp.multipath", "multipath %d is out of range: 1 … 64", *m)
	}
	if p := s.BGP.Password; p != nil {
		c.refuse(*p == "" || len(*p) > 80 || strings.Trim(*p, passwordChars) != "", ".bgp.password",
			"password: 1 … 80 letters, digits or any of _.+:@-")
	}
}

const passwordChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+:@-"

func (c *nodeChecks) policy(key string, p policySpec) {
	c.refuse(p.Prepend < 0 || p.Prepend > 10, key+".prepend", "prepend %d is out of range: 0 … 10", p.Prepend)
	c.refuse(p.MaxPrefixes < 0, key+".max-prefixes", "max-prefixes %d is negative: 0 is unlimited", p.MaxPrefixes)
	for i, prefix := range p.Import {
		c.masked(fmt.Sprintf("%s.import[%d]", key, i), prefix)
	}
	for i, prefix := range p.Export {
		c.masked(fmt.Sprintf("%s.export[%d]", key, i), prefix)
	}
}

// prefix refuses what cannot be originated.
func (c *nodeChecks) prefix(key string, p netip.Prefix) {
	c.masked(key, p)
	if p.Bits() == 0 {
		return
	}
	a := p.Addr()
	c.refuse(a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.Is4In6(), key,
		"prefix %s is not unicast: write one like 203.0.113.0/24", p)
	for _, r := range reserved() {
		c.refuse(p.Overlaps(r.prefix), key, "prefix %s overlaps %s, which the lab keeps for %s", p, r.prefix, r.use)
	}
}

func (c *nodeChecks) masked(key string, p netip.Prefix) {
	c.refuse(p != p.Masked(), key, "prefix %s has host bits: write %s", p, p.Masked())
}

var dnsLabel = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// badName says what is wrong with the name of a lab, node or process, or "".
func badName(name string, longest int) string {
	if len(name) > longest || !dnsLabel.MatchString(name) {
		return fmt.Sprintf("a name is 1 … %d of a-z, 0-9 and -, begins with a letter and does not end with -", longest)
	}
	return ""
}

var portName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// badPort says what is wrong with the name of a port, or "".
func badPort(name string) string {
	switch {
	case slices.Contains([]string{"up", "lo", "all", "default", "br0"}, name):
		return fmt.Sprintf("the name %s means something else to the system: choose another, such as %s1", name, name)
	case len(name) > maxPortName || !portName.MatchString(name):
		return fmt.Sprintf("a port's name is 1 … %d of letters, digits, _ . and -", maxPortName)
	}
	return ""
}
