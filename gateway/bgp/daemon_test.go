package bgp

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"
)

// The far end of every interoperation test: AS 65002 at 10.9.0.2 and
// fd09::2, with its own prefixes, against the speaker under test: AS 65001
// at 10.9.0.1 and fd09::1.
var (
	nearAddrs = []string{"10.9.0.1/24", "fd09::1/64"}
	farAddrs  = []string{"10.9.0.2/24", "fd09::2/64"}
	farRoutes = []string{"192.0.2.0/24", "2001:db8:2::/48", "203.0.113.0/24"}
)

// farConfig is what the tests vary at the far end.
type farConfig struct {
	Dir      string
	Passive  bool // GoBGP only
	Password string
	GTSM     bool
	GR       bool
	GSHUT    bool
}

// daemon is a real BGP implementation in a namespace.
type daemon interface {
	// start brings the daemon up; after kill it is a restart.
	start()
	// kill ends it without a word.
	kill()
	// learned lists the prefixes it has from the speaker under test.
	learned() []string
}

// daemonKinds is what the interoperation tests run against.
func daemonKinds() map[string]func(*space, farConfig) daemon {
	return map[string]func(*space, farConfig) daemon{"frr": newFRR, "bird": newBIRD, "gobgp": newGoBGP}
}

// openDir makes a directory that a daemon under another user can work in.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gwt-bgp-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeConfig(t *testing.T, path, text string, values any) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := template.Must(template.New("").Parse(text)).Execute(f, values); err != nil {
		t.Fatal(err)
	}
}

// frr is FRR's bgpd with its zebra.
type frr struct {
	space *space
	dir   string
	bgpd  *exec.Cmd
}

const frrConfig = `
router bgp 65002
 bgp router-id 10.9.0.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 timers bgp 3 9
{{- if .GR}}
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp graceful-restart restart-time 20
{{- end}}
{{- range $a := .Peers}}
 neighbor {{$a}} remote-as 65001
 neighbor {{$a}} timers connect 1
 neighbor {{$a}} advertisement-interval 0
{{- if $.Password}}
 neighbor {{$a}} password {{$.Password}}
{{- end}}
{{- if $.GTSM}}
 neighbor {{$a}} ttl-security hops 1
{{- end}}
{{- end}}
 address-family ipv4 unicast
  network 203.0.113.0/24{{if .GSHUT}} route-map gshut{{end}}
  network 192.0.2.0/24{{if .GSHUT}} route-map gshut{{end}}
  neighbor 10.9.0.1 activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:2::/48{{if .GSHUT}} route-map gshut{{end}}
  neighbor fd09::1 activate
 exit-address-family
route-map gshut permit 10
 set community graceful-shutdown
`

func newFRR(s *space, c farConfig) daemon {
	d := &frr{space: s, dir: c.Dir}
	needProgram(s.t, "/usr/lib/frr/bgpd")
	writeConfig(s.t, filepath.Join(d.dir, "bgpd.conf"), frrConfig, struct {
		farConfig
		Peers []string
	}{c, []string{"10.9.0.1", "fd09::1"}})
	writeConfig(s.t, filepath.Join(d.dir, "zebra.conf"), "hostname far\n", nil)
	if out, err := exec.Command("chown", "-R", "frr:frr", d.dir).CombinedOutput(); err != nil {
		s.t.Fatalf("chown: %v: %s", err, out)
	}
	d.run("zebra")
	return d
}

func needProgram(t *testing.T, path string) {
	t.Helper()
	if _, err := exec.LookPath(path); err == nil {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatalf("%s is required here", path)
	}
	t.Skipf("%s is not installed", path)
}

func (d *frr) run(name string) *exec.Cmd {
	cmd := exec.Command("/usr/lib/frr/"+name, "-f", filepath.Join(d.dir, name+".conf"), "-i", filepath.Join(d.dir, name+".pid"),
		"-z", filepath.Join(d.dir, "zserv.api"), "--vty_socket", d.dir, "-u", "frr", "-g", "frr", "-P", "0",
		"--log", "file:"+filepath.Join(d.dir, name+".log"))
	return d.space.start(cmd)
}

func (d *frr) start() {
	waitFor(d.space.t, "zebra's socket", func() bool {
		_, err := os.Stat(filepath.Join(d.dir, "zserv.api"))
		return err == nil
	})
	d.bgpd = d.run("bgpd")
}

func (d *frr) kill() { stopProcess(d.bgpd) }

func (d *frr) learned() []string {
	var all string
	for _, f := range []string{"ipv4", "ipv6"} {
		// Not yet listening is an empty answer; the caller asks again.
		out, _ := d.space.output("vtysh", "--vty_socket", d.dir, "-c", "show bgp "+f+" unicast")
		all += out
	}
	return foreign(all)
}

// bird is BIRD 2.
type bird struct {
	space *space
	dir   string
	cmd   *exec.Cmd
	args  []string
}

const birdConfig = `
router id 10.9.0.2;
log "{{.Dir}}/bird.log" all;
protocol device { }
protocol static s4 { ipv4; route 203.0.113.0/24 unreachable; route 192.0.2.0/24 unreachable; }
protocol static s6 { ipv6; route 2001:db8:2::/48 unreachable; }
filter ours { if source != RTS_STATIC then reject; {{if .GSHUT}}bgp_community.add((65535, 0));{{end}} accept; }
template bgp far {
  local as 65002; connect retry time 1; connect delay time 1; error wait time 1, 2; hold time 9;
  graceful restart {{if .GR}}on; graceful restart time 20{{else}}off{{end}};
{{- if .Password}}
  password "{{.Password}}";
{{- end}}
{{- if .GTSM}}
  ttl security on;
{{- end}}
}
protocol bgp p4 from far { neighbor 10.9.0.1 as 65001; ipv4 { import all; export filter ours; }; }
protocol bgp p6 from far { neighbor fd09::1 as 65001; ipv6 { import all; export filter ours; }; }
`

func newBIRD(s *space, c farConfig) daemon {
	needProgram(s.t, "bird")
	writeConfig(s.t, filepath.Join(c.Dir, "bird.conf"), birdConfig, c)
	return &bird{space: s, dir: c.Dir}
}

func (d *bird) start() {
	args := append([]string{"-f", "-c", filepath.Join(d.dir, "bird.conf"), "-s", filepath.Join(d.dir, "bird.ctl"),
		"-P", filepath.Join(d.dir, "bird.pid")}, d.args...)
	d.cmd = d.space.start(exec.Command("bird", args...))
}

func (d *bird) kill() {
	stopProcess(d.cmd)
	d.args = []string{"-R"} // recover from a graceful restart
}

func (d *bird) learned() []string {
	// Not yet listening is an empty answer; the caller asks again.
	out, _ := d.space.output("birdc", "-s", filepath.Join(d.dir, "bird.ctl"), "show", "route")
	return foreign(out)
}

// prefixText finds prefixes in a daemon's listing.
var prefixText = regexp.MustCompile(`[0-9a-f.:]+/[0-9]+`)

// foreign lists the prefixes in a text that are not the far end's own.
func foreign(text string) []string {
	var out []string
	for _, p := range prefixText.FindAllString(text, -1) {
		if !slices.Contains(farRoutes, p) && !slices.Contains(out, p) && strings.ContainsAny(p, ".:") {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// waitFor polls what gives no events.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	limit := time.Now().Add(10 * time.Second)
	for !cond() {
		if time.Now().After(limit) {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitLearned waits until the daemon has exactly these from us.
func awaitLearned(t *testing.T, d daemon, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	limit := time.Now().Add(10 * time.Second)
	for {
		if got = d.learned(); slices.Equal(got, want) {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the daemon learned %v, want %v", got, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
