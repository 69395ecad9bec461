package kernel_test

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// ip runs iproute2 in the gateway's namespace: the test's thread is in it,
// and so is what it starts.
func (w *world) ip(args ...string) string {
	w.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *world) fibText(p netip.Prefix) (string, error) {
	family := "-4"
	if p.Addr().Is6() {
		family = "-6"
	}
	out, err := exec.Command("ip", family, "route", "show", "exact", p.String(), "proto", "201").CombinedOutput()
	return p.String() + " " + string(out), err
}

// nhid returns the nexthop id of a route.
func (w *world) nhid(route string) string {
	w.t.Helper()
	fields := strings.Fields(w.ip("route", "show", "exact", route, "proto", "201"))
	i := slices.Index(fields, "nhid")
	if i < 0 {
		w.t.Fatalf("route %s has no nexthop id: %v", route, fields)
	}
	return fields[i+1]
}

// vandalise does by hand what a confused operator or a rival daemon does.
func (w *world) vandalise() {
	w.t.Helper()
	single := w.nhid("100.66.0.0/24")
	w.ip("route", "del", "100.64.0.0/16")                                                     // deleted
	w.ip("-6", "route", "del", "2001:db8:f1::/48")                                            // deleted
	w.ip("route", "replace", "100.65.0.0/24", "nhid", single, "proto", "201", "metric", "20") // pointed elsewhere
	w.ip("route", "add", "203.0.113.0/24", "nhid", single, "proto", "201")                    // a stranger
	w.ip("route", "add", "100.64.0.0/16", "via", "198.18.2.2", "proto", "201", "metric", "7")
	w.ip("nexthop", "add", "id", "77", "via", "198.18.1.88", "dev", "up1", "proto", "201")
	w.ip("nexthop", "add", "id", "78", "via", "198.18.1.88", "dev", "up1", "proto", "static") // not ours: left alone
	w.replaceObject("via 198.18.2.2 dev up2", "198.18.2.99", "up2")
	w.ip("nexthop", "del", "id", w.objectID("via fe80::99 dev ibl"))
}

func (w *world) objectID(text string) string {
	w.t.Helper()
	for line := range strings.Lines(w.ip("nexthop")) {
		if strings.Contains(line, text) {
			return strings.Fields(line)[1]
		}
	}
	w.t.Fatalf("no nexthop object %q", text)
	return ""
}

func (w *world) replaceObject(old, gateway, dev string) {
	w.t.Helper()
	if net.ParseIP(gateway) == nil {
		w.t.Fatalf("bad gateway %q", gateway)
	}
	w.ip("nexthop", "replace", "id", w.objectID(old), "via", gateway, "dev", dev, "proto", "201")
}

// compare is golden for any text.
func (w *world) compare(name, got string) {
	w.t.Helper()
	file := filepath.Join("testdata", w.t.Name(), name+".golden")
	if *update {
		w.must(os.MkdirAll(filepath.Dir(file), 0o755))
		w.must(os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	w.must(err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
