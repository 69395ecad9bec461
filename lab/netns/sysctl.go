package netns

import (
	"fmt"
	"os"
	"strings"
)

// Sysctl is one kernel setting, its key as sysctl(8) writes it
// ("net.ipv6.conf.all.accept_dad").
type Sysctl struct{ Key, Value string }

// SetSysctls writes settings in the namespace of the calling thread: call it
// inside [Do] or [Thread.Do].
func SetSysctls(settings ...Sysctl) error {
	for _, s := range settings {
		path := "/proc/sys/" + strings.ReplaceAll(s.Key, ".", "/")
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("set sysctl %s: %w", s.Key, err)
		}
		_, err = f.WriteString(s.Value)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("set sysctl %s=%s: %w", s.Key, s.Value, err)
		}
	}
	return nil
}

// NoAutoconf are the settings that keep IPv6 from delaying or adding
// addresses: no duplicate address detection (RFC 4862 §5.4), no router
// advertisements accepted. They bind only interfaces made after them.
func NoAutoconf() []Sysctl {
	return []Sysctl{
		{"net.ipv6.conf.all.accept_dad", "0"},
		{"net.ipv6.conf.default.accept_dad", "0"},
		{"net.ipv6.conf.all.accept_ra", "0"},
		{"net.ipv6.conf.default.accept_ra", "0"},
	}
}

// Mute are the settings of a namespace whose interfaces only carry the frames
// of others and must never send one of their own.
func Mute() []Sysctl {
	return []Sysctl{
		{"net.ipv6.conf.all.disable_ipv6", "1"},
		{"net.ipv6.conf.default.disable_ipv6", "1"},
	}
}
