package config

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

func (v *validator) neighbors(c Config, in fileSchema) {
	if len(c.Neighbors) > maxNeighbors {
		v.errorf("$.neighbors", "%d neighbors: at most %d", len(c.Neighbors), maxNeighbors)
		return
	}
	addresses, names := map[netip.Addr]int{}, map[string]int{}
	line := func(i int, key string) int { return v.doc.At(fmt.Sprintf("$.neighbors[%d].%s", i, key)).Line() }
	for i, n := range c.Neighbors {
		path := fmt.Sprintf("$.neighbors[%d]", i)
		if first, ok := addresses[n.Address]; ok {
			v.errorf(path+".address", "duplicate neighbor %s: line %d has it already", n.Address, line(first, "address"))
		} else if first, ok := names[n.Name]; ok {
			v.errorf(path+".name", "duplicate name %q: the neighbor at line %d has it already", n.Name, line(first, "address"))
		} else {
			addresses[n.Address], names[n.Name] = i, i
		}
		v.neighbor(path, n, in.Neighbors[i])
	}
}

func (v *validator) neighbor(path string, n Neighbor, in neighborSchema) {
	v.asn(path+".asn", n.ASN)
	v.unicast(path+".address", n.Address)
	if in.LocalAddress != nil {
		v.unicast(path+".local-address", n.LocalAddress)
		switch {
		case n.LocalAddress.Is4() != n.Address.Is4():
			v.errorf(path+".local-address", "local-address %s is of another family than address %s", n.LocalAddress, n.Address)
		case n.LocalAddress == n.Address:
			v.errorf(path+".local-address", "local-address is the neighbor's own address: write this machine's")
		}
	}
	v.ifname(path+".interface", n.Interface)
	if strings.ContainsFunc(n.Name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) || len(n.Name) > 64 {
		v.errorf(path+".name", "name %q: write at most 64 printable characters without spaces", n.Name)
	}
	if len(n.Password) > maxPassword {
		v.errorf(path+".password", "password of %d bytes: TCP MD5 takes at most %d (RFC 2385)", len(n.Password), maxPassword)
	}
	if strings.ContainsFunc(n.Password, func(r rune) bool { return r < ' ' || r > '~' }) {
		v.errorf(path+".password", "password: write printable ASCII only (RFC 2385 §4.5)")
	}
	if n.MaxPrefixes < 0 || (n.MaxPrefixes == 0 && v.written(path+".max-prefixes")) {
		v.errorf(path+".max-prefixes", "max-prefixes %d: write at least 1, or remove the key for no limit", n.MaxPrefixes)
	}
	v.bfd(path+".bfd", in.BFD)
	v.rules(path+".import", n.Import.Prefixes)
	v.rules(path+".export", n.Export.Prefixes)
	if n.Import.LocalPref == 0 && v.written(path+".import.local-pref") {
		v.errorf(path+".import.local-pref", "local-pref 0: write at least 1, or remove the key to leave it")
	}
	v.number(path+".export.prepend", n.Export.Prepend, 0, maxPrepend)
}

func (v *validator) unicast(path string, a netip.Addr) {
	switch {
	case a.Zone() != "":
		v.errorf(path, "%s: write %s, the zone is the neighbor's interface", a, a.WithZone(""))
	case a.Is6() && a.IsLinkLocalUnicast():
		v.errorf(path, "%s is link-local: write a global or unique local address", a)
	case a.Is4In6():
		v.errorf(path, "%s maps IPv4 into IPv6: write %s", a, a.Unmap())
	case a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		v.errorf(path, "%s is not the address of a neighbor: write a unicast address", a)
	}
}

// ifname follows dev_valid_name in net/core/dev.c.
func (v *validator) ifname(path, name string) {
	bad := strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r == '/' || r == ':' })
	if name == "" || name == "." || name == ".." || len(name) > 15 || bad {
		v.errorf(path, "%q is no interface name: write 1 … 15 characters without spaces, / or :", name)
	}
}

func (v *validator) rules(path string, rules []PrefixRule) {
	// "prefixes:" with nothing after it could mean all or none: the two
	// opposites of a filter.
	if n := v.doc.At(path + ".prefixes"); !n.IsZero() && !n.IsList() {
		v.errs = append(v.errs, n.Errorf("prefixes is empty: write [] to match nothing, or remove the key to match all"))
	}
	seen := map[PrefixRule]bool{}
	for i, r := range rules {
		at := fmt.Sprintf("%s.prefixes[%d]", path, i)
		v.prefix(at+".prefix", r.Prefix)
		if seen[r] {
			v.errorf(at+".prefix", "duplicate rule for %s: remove one", r.Prefix)
		}
		seen[r] = true
		width, ge := r.Prefix.Addr().BitLen(), r.Prefix.Bits()
		if v.written(at + ".ge") {
			v.number(at+".ge", r.Ge, ge, width)
			ge = max(ge, r.Ge)
		}
		if v.written(at + ".le") {
			v.number(at+".le", r.Le, ge, width)
		}
	}
}
