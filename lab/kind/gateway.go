package kind

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"

	"gwlab/topologies"
)

const (
	gatewaydDir    = "/run/gatewayd"
	gatewaydConfig = gatewaydDir + "/gatewayd.yaml"
	gatewaydSocket = gatewaydDir + "/gatewayd.sock"
	gatewaydState  = gatewaydDir + "/state"
)

func planGateway(t *topologies.Topology, n *topologies.Node, b Binaries) (Spec, error) {
	return planGatewayd(t, n, cmp.Or(b.UnderTest, b.Gatewayd))
}

// planGatewayd is a node that runs the given gatewayd.
func planGatewayd(t *topologies.Topology, n *topologies.Node, gatewayd string) (Spec, error) {
	cfg, err := Config(t, n)
	if err != nil {
		return Spec{}, err
	}
	yaml, err := cfg.Marshal()
	if err != nil {
		return Spec{}, err
	}
	return Spec{
		Sysctls: forwarding(n),
		Files: []File{
			{Path: gatewaydDir, Mode: fs.ModeDir | 0o755},
			{Path: gatewaydState, Mode: fs.ModeDir | 0o755},
			{Path: gatewaydConfig, Content: yaml, Mode: 0o640},
		},
		Processes: []Process{{
			Name: "gatewayd", Argv: []string{gatewayd, "run", "--config", gatewaydConfig},
			Restart: true, Socket: gatewaydSocket,
		}},
		Daemon:      "gatewayd",
		EventSocket: gatewaydSocket,
		Needs:       []Need{{"gatewayd", gatewayd, "run 'make build', or name it with --gatewayd"}},
		Ready:       gatewaydReady,
	}, nil
}

// gatewaydReady asks GET /v1/status.
func gatewaydReady(ctx context.Context, in Access) ([]string, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return in.Dial(ctx, gatewaydSocket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gatewayd/v1/status", nil)
	if err != nil {
		return nil, fmt.Errorf("ask gatewayd: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask gatewayd: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	var status struct {
		Ready   bool     `json:"ready"`
		Pending []string `json:"pending"`
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask gatewayd: %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return nil, fmt.Errorf("read gatewayd's status: %w", err)
	}
	if !status.Ready && len(status.Pending) == 0 {
		return []string{"gatewayd: not ready"}, nil
	}
	return status.Pending, nil
}
