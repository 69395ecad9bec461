package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gwlab/internal/strictyaml"
)

// Community is a standard BGP community (RFC 1997), written "65001:100" or by
// the name of a well-known one.
type Community uint32

// The well-known communities that have a name in the configuration.
const (
	GracefulShutdown Community = 0xFFFF0000 // RFC 8326 §4.1
	Blackhole        Community = 0xFFFF029A // RFC 7999 §5
	NoExport         Community = 0xFFFFFF01 // RFC 1997
	NoAdvertise      Community = 0xFFFFFF02 // RFC 1997
)

func wellKnown() map[string]Community {
	return map[string]Community{
		"graceful-shutdown": GracefulShutdown,
		"blackhole":         Blackhole,
		"no-export":         NoExport,
		"no-advertise":      NoAdvertise,
	}
}

// String returns the well-known name, or "65001:100".
func (c Community) String() string {
	for name, known := range wellKnown() {
		if c == known {
			return name
		}
	}
	return fmt.Sprintf("%d:%d", c>>16, c&0xFFFF)
}

// MarshalText writes what [Community.UnmarshalText] reads.
func (c Community) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads "65001:100" or a well-known name.
func (c *Community) UnmarshalText(text []byte) error {
	if known, ok := wellKnown()[string(text)]; ok {
		*c = known
		return nil
	}
	high, low, _ := strings.Cut(string(text), ":")
	h, herr := strconv.ParseUint(high, 10, 16)
	l, lerr := strconv.ParseUint(low, 10, 16)
	if herr != nil || lerr != nil {
		names := []string{}
		for name := range wellKnown() {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("%s, or two numbers of 0 … 65535 like 65001:100",
			strictyaml.Unknown("community", string(text), names))
	}
	*c = Community(h<<16 | l)
	return nil
}
