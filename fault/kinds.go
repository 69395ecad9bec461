package fault

import (
	"fmt"
	"sort"
	"strings"
)

// Kind is an entry of the catalogue.
type Kind struct {
	Name string
	Doc  string // one sentence
	// New returns a pointer to an empty fault, for the YAML decoder.
	New func() Fault
}

// Kinds is the catalogue: the only list there is.
func Kinds() []Kind {
	return []Kind{
		{"link.blackhole", "The link drops everything in one or both directions while carrier stays up.", func() Fault { return new(LinkBlackhole) }},
		{"link.cut", "The cable is cut: both ends lose carrier in the same instant.", func() Fault { return new(LinkCut) }},
		{"link.down", "One end of a link is set administratively down; the other loses carrier.", func() Fault { return new(LinkDown) }},
		{"node.kill", "Power off: every process of the node is gone and its neighbours lose carrier (silent: they keep it and hear nothing).", func() Fault { return new(NodeKill) }},
		{"process.kill", "A process of a node is killed (SIGKILL) and, with restart, started again at once.", func() Fault { return new(ProcessKill) }},
		{"process.stop", "A process of a node is asked to end (SIGTERM) and stays away until the heal.", func() Fault { return new(ProcessStop) }},
	}
}

// New returns an empty fault of a kind; an unknown kind errs with the known ones.
func New(kind string) (Fault, error) {
	var names []string
	for _, k := range Kinds() {
		if k.Name == kind {
			return k.New(), nil
		}
		names = append(names, k.Name)
	}
	sort.Strings(names)
	return nil, fmt.Errorf("unknown fault kind %q: use one of %s", kind, strings.Join(names, ", "))
}
