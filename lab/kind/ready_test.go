package kind

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gwlab/topologies"
)

// asked is a speaker with one neighbour in both families.
func asked(t *testing.T, kind string) Spec {
	return plan(t, parse(t, "  nodes: {a: {kind: "+kind+", asn: 65001}, b: {kind: frr, asn: 65002}}\n  links: [{endpoints: [\"a:b\", \"b:a\"]}]\n"), "a")
}

// saying answers each command by the last of its words that has an answer.
func saying(answers map[string]string) Access {
	return Access{Run: func(_ context.Context, argv ...string) ([]byte, error) {
		line := strings.Join(argv, " ")
		for words, answer := range answers {
			if strings.Contains(line, words) {
				return []byte(answer), nil
			}
		}
		return nil, errors.New("exit status 1")
	}}
}

const frrSummary = `{
"ipv4Unicast":{"routerId":"198.19.0.1","peers":{"198.18.0.1":{"hostname":"b","remoteAs":65002,"state":"Established","pfxRcd":7,"peerState":"OK"}},"totalPeers":1}
,
"ipv6Unicast":{"peers":{"fd00:18::1":{"remoteAs":65002,"state":"Active"}}}
}
`

const birdProtocolsTable = `BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     02:18:06.187  
originate_ipv4 Static     master4    up     02:18:06.187  
peer0      BGP        ---        up     02:18:07.048  Established   
  BGP state:          Established
    Neighbor address: 198.18.0.1
  Channel ipv4
    Routes:         7 imported, 1 exported, 7 preferred
    Route change stats:     received   rejected   filtered    ignored   accepted
      Import updates:              2          0          0          0          2

peer1      BGP        ---        start  02:18:07.078  Active        Socket: Connection refused
`

const birdSessionsTable = `BIRD 2.0.12 ready.
bfd1:
IP address                Interface  State      Since         Interval  Timeout
fd00:18::1                b          Down       02:18:06.189    1.000    0.000
198.18.0.1                b          Up         02:18:06.834    0.050    0.150
`

func TestReady(t *testing.T) {
	oneUp := []string{"bgp b/ipv6: Active", "bfd b/ipv6: down"}
	tests := []struct {
		name, kind string
		in         Access
		pending    []string
		err        string
	}{
		{"frr", "frr", saying(map[string]string{"show bgp summary json": frrSummary +
			`[{"multihop":false,"peer":"198.18.0.1","status":"up"},{"peer":"fd00:18::1","status":"down"}]`}), oneUp, ""},
		{"frr knows nothing yet", "frr", saying(map[string]string{"show bgp summary json": "{}\n[]\n"}),
			[]string{"bgp b/ipv4: not started", "bfd b/ipv4: not started", "bgp b/ipv6: not started", "bfd b/ipv6: not started"}, ""},
		{"frr is not there", "frr", saying(nil), nil, "ask FRR: exit status 1"},
		{"frr talks nonsense", "frr", saying(map[string]string{"show bgp": "% Unknown"}), nil,
			"read FRR's answer: invalid character '%' looking for beginning of value"},
		{"frr answers half", "frr", saying(map[string]string{"show bgp": "{}"}), nil, "read FRR's answer: EOF"},
		{"bird", "bird", saying(map[string]string{"show protocols": birdProtocolsTable, "show bfd sessions": birdSessionsTable}),
			[]string{"bgp b/ipv6: Active", "bfd b/ipv6: Down"}, ""},
		{"bird is not there", "bird", saying(nil), nil, "ask bird: exit status 1"},
		{"bird knows nothing yet", "bird", saying(map[string]string{"show": "BIRD 2.0.12 ready.\n"}),
			[]string{"bgp b/ipv4: not started", "bfd b/ipv4: not started", "bgp b/ipv6: not started", "bfd b/ipv6: not started"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pending, err := asked(t, tt.kind).Ready(t.Context(), tt.in)
			if got := errText(err); got != tt.err {
				t.Errorf("error %q, want %q", got, tt.err)
			}
			if diff := cmp.Diff(tt.pending, pending); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSessions(t *testing.T) {
	frr := saying(map[string]string{"show bgp summary json": frrSummary + `[{"peer":"198.18.0.1","status":"up"},{"peer":"fd00:18::1","status":"down"}]`})
	bird := saying(map[string]string{"show protocols all": birdProtocolsTable, "show bfd sessions": birdSessionsTable})
	for kind, c := range map[string]struct {
		in       Access
		up, down string // the daemon's words for BFD's states
	}{"frr": {frr, "up", "down"}, "bird": {bird, "Up", "Down"}} {
		got, err := asked(t, kind).Sessions(t.Context(), c.in)
		if err != nil {
			t.Fatal(err)
		}
		want := []Session{
			{"bgp", "198.18.0.1", "b/ipv4", "Established", true, 7}, {"bfd", "198.18.0.1", "b/ipv4", c.up, true, 0},
			{"bgp", "fd00:18::1", "b/ipv6", "Active", false, 0}, {"bfd", "fd00:18::1", "b/ipv6", c.down, false, 0},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
		if _, err := asked(t, kind).Sessions(t.Context(), saying(nil)); err == nil {
			t.Errorf("%s: a daemon that does not answer has sessions", kind)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestReadyOfGatewayd(t *testing.T) {
	tests := []struct {
		answer  string
		code    int
		pending []string
		err     string
	}{
		{`{"ready":true,"pending":[]}`, 200, []string{}, ""},
		{`{"ready":false,"pending":["bgp b/ipv4: Active"]}`, 200, []string{"bgp b/ipv4: Active"}, ""},
		{`{"ready":false}`, 200, []string{"gatewayd: not ready"}, ""},
		{`busy`, 503, nil, "ask gatewayd: 503 Service Unavailable"},
		{`{`, 200, nil, "read gatewayd's status: unexpected EOF"},
	}
	for _, tt := range tests {
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/status" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.WriteHeader(tt.code)
			w.Write([]byte(tt.answer)) // the client's error tells
		}))
		srv.Listener.Close() // replaced
		srv.Listener = l
		srv.Start()
		in := Access{Dial: func(ctx context.Context, path string) (net.Conn, error) {
			if path != gatewaydSocket {
				t.Errorf("dialled %s", path)
			}
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}
		pending, err := asked(t, "router").Ready(t.Context(), in)
		srv.Close()
		if got := errText(err); got != tt.err {
			t.Errorf("error %q, want %q", got, tt.err)
		}
		if diff := cmp.Diff(tt.pending, pending); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReadyOfGatewaydThatIsNotThere(t *testing.T) {
	in := Access{Dial: func(context.Context, string) (net.Conn, error) { return nil, errors.New("no such socket") }}
	if _, err := asked(t, "gateway").Ready(t.Context(), in); err == nil || !strings.Contains(err.Error(), "no such socket") {
		t.Errorf("got %v", err)
	}
}

func TestConfigOfANodeThatDoesNotSpeak(t *testing.T) {
	topo := load(t, "pair")
	if _, err := Config(topo, topo.Node("host")); err == nil || err.Error() != "configure host: it speaks no BGP" {
		t.Errorf("got %v", err)
	}
}

func TestConfigNamesSecondLink(t *testing.T) {
	topo := parse(t, `
  nodes: {a: {kind: frr, asn: 65001}, b: {kind: frr, asn: 65002}}
  links: [{endpoints: ["a:b1", "b:a1"]}, {endpoints: ["a:b2", "b:a2"]}]
`)
	c, err := Config(topo, topo.Node("a"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range c.Neighbors {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"b/ipv4", "b/ipv6", "b/ipv4/b2", "b/ipv6/b2"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestFeedIsExpandedAlike(t *testing.T) {
	for _, kind := range []string{"frr", "bird"} {
		topo := load(t, "dual-isp", topologies.Gateway(kind), topologies.Set("gw1.feed.ipv4=5000"))
		s := plan(t, topo, "gw1")
		for _, f := range s.Files {
			if strings.HasSuffix(f.Path, "bgpd.conf") || strings.HasSuffix(f.Path, "bird.conf") {
				if n := strings.Count(string(f.Content), " 100."); n != 5000 {
					t.Errorf("%s has %d prefixes of the feed", f.Path, n)
				}
				if !strings.Contains(string(f.Content), "100.66.112.224/27") { // the 5000th
					t.Errorf("%s lacks the last prefix", f.Path)
				}
			}
		}
	}
}
