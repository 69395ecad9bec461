package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Prepare sets what forwarding through nexthop groups needs. It writes to
// /proc/sys/net of the calling thread's network namespace:
//
//   - forwarding of IPv4 and IPv6;
//   - nexthop_compat_mode 0 (for both families, despite its name): a changed
//     group is announced once and not once for each of its routes;
//   - the multipath hash of both families, and its seed;
//   - IPv6 addresses survive an interface going down, as IPv4's do;
//   - an unanswered ARP request or neighbour solicitation is repeated after
//     100 ms instead of 1 s (RFC 4861 §10 RetransTimer): one that falls into
//     an outage must not hold up what comes after it;
//   - where an interface has strict reverse-path filtering, loose instead:
//     with several uplinks an answer may come in by another one.
func (n *Netlink) Prepare() error {
	policy, ok := map[string]string{"l3": "0", "l4": "1", "inner": "2"}[n.opt.MultipathHash]
	if !ok {
		return fmt.Errorf("prepare forwarding: unknown multipath hash %q (l3, l4, inner)", n.opt.MultipathHash)
	}
	for _, s := range []struct{ name, value string }{
		{"ipv4/ip_forward", "1"},
		{"ipv6/conf/all/forwarding", "1"},
		{"ipv4/nexthop_compat_mode", "0"},
		{"ipv4/fib_multipath_hash_policy", policy},
		{"ipv6/fib_multipath_hash_policy", policy},
		{"ipv6/conf/all/keep_addr_on_down", "1"},
	} {
		if err := setSysctl(s.name, s.value); err != nil {
			return fmt.Errorf("prepare forwarding: %w", err)
		}
	}
	if n.opt.HashSeed != 0 {
		err := setSysctl("ipv4/fib_multipath_hash_seed", strconv.FormatUint(uint64(n.opt.HashSeed), 10))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // since Linux 6.11
			return fmt.Errorf("prepare forwarding: %w", err)
		}
	}
	if err := hastenResolution(); err != nil {
		return fmt.Errorf("prepare forwarding: %w", err)
	}
	if err := loosenReversePath(); err != nil {
		return fmt.Errorf("prepare forwarding: %w", err)
	}
	return nil
}

// retransTimer is in milliseconds, as the kernel takes it.
const retransTimer = 100

// hastenResolution shortens the timer of every interface there is and of
// those to come, where it is longer.
func hastenResolution() error {
	files, err := filepath.Glob("/proc/sys/net/ipv[46]/neigh/*/retrans_time_ms")
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the interface has just gone
		}
		if now, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && now <= retransTimer {
			continue
		}
		err = setSysctl(strings.TrimPrefix(f, "/proc/sys/net/"), strconv.Itoa(retransTimer))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// loosenReversePath turns strict filtering (1) into loose (2). An interface's
// mode is the larger of its own and that of "all".
func loosenReversePath() error {
	files, err := filepath.Glob("/proc/sys/net/ipv4/conf/*/rp_filter")
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, f := range files {
		value, err := os.ReadFile(f)
		if err == nil && strings.TrimSpace(string(value)) == "1" {
			return setSysctl("ipv4/conf/all/rp_filter", "2")
		}
	}
	return nil
}

func setSysctl(name, value string) error {
	if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
		return fmt.Errorf("set net.%s: %w", strings.ReplaceAll(name, "/", "."), err)
	}
	return nil
}
