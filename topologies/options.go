package topologies

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gwlab/internal/strictyaml"
)

// Option changes what was written before anything is derived from it.
type Option func(*fileSpec) error

// Gateway replaces the kind of every node with role gateway (or of kind
// gateway), to compare implementations on one topology.
func Gateway(kind string) Option {
	return func(f *fileSpec) error {
		speakers := []string{"gateway", "router", "frr", "bird"}
		if !slices.Contains(speakers, kind) {
			return errors.New("gateway: " + strictyaml.Unknown("kind", kind, speakers))
		}
		role := "gateway"
		for i := range f.Topology.Nodes {
			spec := &f.Topology.Nodes[i].Value
			if all := f.resolve(*spec); roleOf(all) == role {
				all.Kind, all.Role = &kind, &role
				*spec = all // what the old kind gave stays
			}
		}
		return nil
	}
}

// resolve returns a node's settings with what defaults and its kind give.
func (f *fileSpec) resolve(spec nodeSpec) nodeSpec {
	base := f.Topology.Defaults
	kind := or(either(spec.Kind, base.Kind), "")
	if ofKind, ok := f.Topology.Kinds.Get(kind); ok {
		base = inherit(base, ofKind)
	}
	return inherit(base, spec)
}

// roleOf is the role of resolved settings: kind gateway implies its own.
func roleOf(spec nodeSpec) string {
	if or(spec.Kind, "") == "gateway" {
		return or(spec.Role, "gateway")
	}
	return or(spec.Role, "")
}

// LinkType replaces the type of every link.
func LinkType(linkType string) Option {
	return func(f *fileSpec) error {
		if !slices.Contains(LinkTypes(), linkType) {
			return errors.New("link type: " + strictyaml.Unknown("link type", linkType, LinkTypes()))
		}
		for i := range f.Topology.Links {
			f.Topology.Links[i].Type = linkType
		}
		return nil
	}
}

// Set writes one key of one node, as "isp1.feed.ipv4=100000".
func Set(assignment string) Option {
	return func(f *fileSpec) error {
		target, value, ok := strings.Cut(assignment, "=")
		keys := strings.Split(target, ".")
		if !ok || len(keys) < 2 || strings.TrimSpace(value) == "" {
			return fmt.Errorf("set %s: write node.key=value, such as isp1.feed.ipv4=100000", assignment)
		}
		known := make([]string, len(f.Topology.Nodes))
		for i, e := range f.Topology.Nodes {
			known[i] = e.Key
		}
		i := slices.Index(known, keys[0])
		if i < 0 {
			return fmt.Errorf("set %s: %s", assignment, strictyaml.Unknown("node", keys[0], known))
		}
		spec, err := parseSetting(keys[1:], value)
		if err != nil {
			return fmt.Errorf("set %s: %w", assignment, err)
		}
		f.Topology.Nodes[i].Value = inherit(f.Topology.Nodes[i].Value, spec)
		return nil
	}
}

// parseSetting reads a value as if it stood in a file under the keys.
func parseSetting(keys []string, value string) (nodeSpec, error) {
	var text strings.Builder
	for depth, key := range keys {
		fmt.Fprintf(&text, "%s%s:", strings.Repeat("  ", depth), key)
		if depth < len(keys)-1 {
			text.WriteByte('\n')
		}
	}
	fmt.Fprintf(&text, " %s\n", value)
	var spec nodeSpec
	doc, err := strictyaml.Parse("", []byte(text.String()))
	if err == nil {
		err = doc.Decode(&spec)
	}
	if err == nil {
		err = checkNode(doc, "$", spec).Err()
	}
	var at *strictyaml.Error
	if errors.As(err, &at) {
		return spec, errors.New(at.Msg) // a place in this little text means nothing to the user
	}
	return spec, err
}
