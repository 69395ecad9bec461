package kernel

import (
	"iter"
	"net/netip"
)

// byLength returns the prefixes with the default routes first and then in
// order of their length: the shorter, the more traffic depends on it.
func byLength(prefixes iter.Seq[netip.Prefix], count int) []netip.Prefix {
	const longest = 128
	var buckets [longest + 1][]netip.Prefix
	for p := range prefixes {
		buckets[p.Bits()] = append(buckets[p.Bits()], p)
	}
	out := make([]netip.Prefix, 0, count)
	for _, b := range buckets {
		out = append(out, b...)
	}
	return out
}
