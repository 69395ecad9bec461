package topologies

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"gwlab/internal/strictyaml"
)

// Suffix is how the file name of every topology ends.
const Suffix = ".topo.yaml"

// Parse reads a topology, validates it and derives all that was not written.
// file names src in errors, which read "file:line:column: what, and how to
// mend it", one a line.
//
// Derived, always alike for the same file:
//   - the role of kind gateway: gateway
//   - AS numbers by role: 65000 for gateways, 65001 and on for the others, in
//     file order; a speaker without a role writes its own
//   - router ids from 198.19.0.0/16, in file order
//   - a subnet of each family for every link, or all links that bridges join:
//     /31 of 198.18.0.0/16 and /127 of fd00:18::/32 between routers; with
//     hosts /28 and /64 of what the routers there originate, the routers
//     first, else of the documentation ranges, which they then originate
//   - the default route of a host: the first router beside it
//   - a BGP session of each family between any two speakers that share a
//     subnet, guarded by BFD unless one of them has it off
func Parse(file string, src []byte, opts ...Option) (*Topology, error) {
	doc, err := strictyaml.Parse(file, src)
	if err != nil {
		return nil, err
	}
	b := &builder{doc: doc, t: &Topology{Source: src}}
	if err := doc.Decode(&b.spec); err != nil {
		return nil, err
	}
	for _, opt := range opts {
		if err := opt(&b.spec); err != nil {
			return nil, err
		}
	}
	// Each stage stands on the one before, so the first with errors is the last.
	stages := []func(){b.check, b.nodes, b.links, b.identify, b.address, b.agree}
	for _, stage := range stages {
		stage()
		if err := b.errs.Err(); err != nil {
			return nil, err
		}
	}
	return b.t, nil
}

// Load parses name.topo.yaml of a file system. Its Names are the alternatives
// an error lists.
func Load(fsys fs.FS, name string, opts ...Option) (*Topology, error) {
	file := strings.TrimSuffix(name, Suffix) + Suffix
	src, err := fs.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, errors.New(strictyaml.Unknown("topology", name, names(fsys)))
	}
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	return Parse(file, src, opts...)
}

// builder turns what was written into a Topology, stage by stage.
type builder struct {
	doc  *strictyaml.Document
	spec fileSpec
	t    *Topology
	errs strictyaml.Errors

	addressing addressing
}

func (b *builder) errorf(path, format string, args ...any) {
	b.errs = append(b.errs, b.doc.Errorf(path, format, args...))
}

// keyErrorf reports at the key of a path.
func (b *builder) keyErrorf(path, format string, args ...any) {
	b.errs = append(b.errs, b.doc.KeyErrorf(path, format, args...))
}

func nodePath(name string) string { return strictyaml.Path("$.topology.nodes", name) }

func kindPath(name string) string { return strictyaml.Path("$.topology.kinds", name) }

func linkPath(i int) string { return fmt.Sprintf("$.topology.links[%d]", i) }

// nodes makes the nodes, each with what it inherits.
func (b *builder) nodes() {
	for _, e := range b.spec.Topology.Nodes {
		spec := b.spec.resolve(e.Value)
		kind := or(spec.Kind, "")
		if kind == "" {
			b.keyErrorf(nodePath(e.Key), "node %s has no kind: write kind: and one of %s", e.Key, strings.Join(Kinds(), ", "))
			continue
		}
		b.t.Nodes = append(b.t.Nodes, makeNode(e.Key, e.Line, kind, spec))
	}
}

func makeNode(name string, line int, kind string, spec nodeSpec) *Node {
	n := &Node{Name: name, Kind: kind, Line: line, Env: spec.Env}
	for _, p := range spec.Processes {
		n.Processes = append(n.Processes, Process{p.Name, p.Command, restartOr(p.Restart)})
	}
	if !n.Forwards() && kind != "exec" {
		return n // hosts and bridges take no part in routing, whatever the defaults say
	}
	n.Role = roleOf(spec)
	n.ASN = or(spec.ASN, 0)
	n.RouterID = or(spec.RouterID, netip.Addr{})
	n.Originate = slices.Clone(spec.Originate)
	n.Feed = Feed{or(spec.Feed.IPv4, 0), or(spec.Feed.IPv6, 0)}
	n.BFD = BFD{
		Off:        or(spec.BFD.Off, false),
		Interval:   or(spec.BFD.Timers.Interval, defaultBFDInterval),
		Multiplier: or(spec.BFD.Timers.Multiplier, defaultBFDMultiplier),
	}
	n.BGP = BGP{
		HoldTime:        or(spec.BGP.HoldTime, defaultHoldTime),
		GracefulRestart: or(spec.BGP.GracefulRestart, true),
		Multipath:       or(spec.BGP.Multipath, defaultMultipath),
		Password:        or(spec.BGP.Password, ""),
		TTLSecurity:     or(spec.BGP.TTLSecurity, false),
	}
	n.Neighbors = map[string]Policy{}
	for _, e := range spec.Neighbors {
		n.Neighbors[e.Key] = Policy(e.Value)
	}
	return n
}

func restartOr(s string) string {
	if s == "" {
		return "never"
	}
	return s
}

// links makes links and ports.
func (b *builder) links() {
	if n := len(b.spec.Topology.Links); n > maxLinks {
		b.errorf("$.topology.links", "%d links are too many: at most %d", n, maxLinks)
		return
	}
	for i, spec := range b.spec.Topology.Links {
		l := &Link{Type: spec.Type, MTU: or(spec.MTU, 0), Index: i, Line: b.doc.At(linkPath(i)).Line()}
		if l.Type == "" {
			l.Type = "cable"
		}
		if len(spec.Endpoints) != 2 {
			b.errorf(linkPath(i)+".endpoints", "a link has two endpoints, not %d: write [\"a:port\", \"b:port\"]", len(spec.Endpoints))
			continue
		}
		l.A, l.B = b.port(l, 0, spec.Endpoints[0]), b.port(l, 1, spec.Endpoints[1])
		if l.A == nil || l.B == nil {
			continue
		}
		if l.A.Node == l.B.Node {
			b.errorf(linkPath(i)+".endpoints", "both ends of the link are on %s: a link joins two nodes", l.A.Node.Name)
		}
		b.t.Links = append(b.t.Links, l)
	}
	for _, n := range b.t.Nodes {
		b.checkPortsOf(n)
	}
}

// port makes the port an endpoint names; nil after an error.
func (b *builder) port(l *Link, side int, e Endpoint) *Port {
	path := fmt.Sprintf("%s.endpoints[%d]", linkPath(l.Index), side)
	name, port, ok := strings.Cut(string(e), ":")
	if !ok || name == "" || port == "" {
		b.errorf(path, "endpoint %q: write node:port", e)
		return nil
	}
	n := b.t.Node(name)
	if n == nil {
		b.errorf(path, "endpoint %q: %s", e, strictyaml.Unknown("node", name, nodeNames(b.t.Nodes)))
		return nil
	}
	if msg := badPort(port); msg != "" {
		b.errorf(path, "endpoint %q: %s", e, msg)
		return nil
	}
	if p := n.Port(port); p != nil {
		b.errorf(path, "endpoint %q is used already by the link in line %d: a port has one link", e, p.Link.Line)
		return nil
	}
	p := &Port{Node: n, Name: port, Index: PortIndex(l.Index, side), Link: l}
	n.Ports = append(n.Ports, p)
	return p
}

// Port returns the node's port of that name, nil when there is none.
func (n *Node) Port(name string) *Port {
	for _, p := range n.Ports {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// PortIndex is the interface index of a link's outer end, side 0 for A and 1 for B.
func PortIndex(link, side int) int { return 1000 + 2*link + side }

// MiddleIndex is the interface index, in the cable namespace, of the middle
// end that faces side 0 (A) or 1 (B) of a link. Every index of a lab differs
// from every other, those of PortIndex included.
func MiddleIndex(link, side int) int { return 30000 + 2*link + side }

func nodeNames(nodes []*Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Name
	}
	return out
}
