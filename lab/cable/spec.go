package cable

import (
	"errors"
	"fmt"
	"net/netip"
)

// Type of a link.
type Type string

const (
	// Cable is two veth pairs joined in the middle namespace, where traffic
	// can be dropped and carrier taken away.
	Cable Type = "cable"
	// Veth is one bare pair: faster to make, without a middle to act on.
	Veth Type = "veth"
)

// End is one end of a link.
type End struct {
	Netns string // path of the namespace it lives in
	Name  string // 1 … 15 bytes
	Index int    // > 1, different from every other end's and middle's
	// Addresses get their prefix length as their on-link prefix; IPv6 ones
	// are usable at once (no duplicate address detection).
	Addresses []netip.Prefix
	Up        bool
}

// Link is one link to make.
type Link struct {
	Name string // unique; what the runtime verbs call it
	Type Type
	MTU  int // 68 … 65535 bytes; 0 is the kernel's default, 1500
	A, B End
}

// Spec is all links of a lab.
type Spec struct {
	// Middle is the path of a namespace that holds nothing but the middles
	// of this spec's cables. Bare pairs are made from there too.
	Middle string
	Links  []Link
	// Netns are further namespaces whose lo is to be up, beside those that
	// the links' ends name.
	Netns []string
}

// validate also returns the first interface index above those in use: the
// middles take theirs from there on.
func (s Spec) validate() (base int, err error) {
	names := map[string]bool{}
	owner := map[int]string{}
	ports := map[string]bool{}
	base = 2
	if s.Middle == "" {
		return 0, errors.New("middle namespace is not set")
	}
	for _, l := range s.Links {
		if names[l.Name] || l.Name == "" {
			return 0, fmt.Errorf("link name %q is empty or used twice", l.Name)
		}
		names[l.Name] = true
		if l.Type != Cable && l.Type != Veth {
			return 0, fmt.Errorf("link %s: unknown type %q: use %q or %q", l.Name, l.Type, Cable, Veth)
		}
		if l.MTU != 0 && (l.MTU < 68 || l.MTU > 65535) {
			return 0, fmt.Errorf("link %s: MTU %d is outside 68 … 65535", l.Name, l.MTU)
		}
		for _, e := range []End{l.A, l.B} {
			if len(e.Name) < 1 || len(e.Name) > 15 || e.Netns == "" || e.Netns == s.Middle {
				return 0, fmt.Errorf("link %s: end %q in namespace %q: want a name of 1 … 15 bytes and a namespace other than the middle", l.Name, e.Name, e.Netns)
			}
			if e.Index < 2 {
				return 0, fmt.Errorf("link %s: end %s has index %d: want more than 1", l.Name, e.Name, e.Index)
			}
			if other, taken := owner[e.Index]; taken {
				return 0, fmt.Errorf("link %s: end %s has index %d, which %s has: the kernel delays carrier events of equal indexes", l.Name, e.Name, e.Index, other)
			}
			owner[e.Index] = l.Name + " " + e.Name
			if port := e.Netns + " " + e.Name; ports[port] {
				return 0, fmt.Errorf("link %s: interface %s exists twice in %s", l.Name, e.Name, e.Netns)
			} else {
				ports[port] = true
			}
			base = max(base, e.Index+1)
		}
	}
	return base, nil
}

// middles returns the interface indexes of the k-th link's two middle ends.
func middles(base, k int) (a, b int) { return base + 2*k, base + 2*k + 1 }

// middleName is short enough for a million links.
func middleName(k int, side byte) string { return fmt.Sprintf("c%d%c", k, side) }
