// Program gobgp is the reference peer of the interoperation tests: GoBGP's own
// server, with the configuration in its one argument. It is a module of its
// own, so that the server's dependencies stay out of the product.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/apiutil"
	"github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// config is what the tests vary.
type config struct {
	Dir      string
	Passive  bool
	Password string
	GTSM     bool
	GR       bool
	GSHUT    bool
}

func main() {
	var c config
	if err := json.Unmarshal([]byte(os.Args[1]), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := serve(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// quiet is a logger that says nothing.
type quiet struct{}

func (quiet) Panic(string, log.Fields) {}
func (quiet) Fatal(string, log.Fields) {}
func (quiet) Error(string, log.Fields) {}
func (quiet) Warn(string, log.Fields)  {}
func (quiet) Info(string, log.Fields)  {}
func (quiet) Debug(string, log.Fields) {}
func (quiet) SetLevel(log.LogLevel)    {}
func (quiet) GetLevel() log.LogLevel   { return 0 }

func serve(c config) error {
	ctx := context.Background()
	s := server.NewBgpServer(server.LoggerOption(quiet{}))
	go s.Serve()
	err := s.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{Asn: 65002, RouterId: "10.9.0.2", ListenPort: 179,
		GracefulRestart: &api.GracefulRestart{Enabled: c.GR, RestartTime: 20}}})
	if err != nil {
		return err
	}
	for _, a := range []string{"203.0.113.0/24", "192.0.2.0/24", "2001:db8:2::/48"} {
		if err := originate(s, a, c.GSHUT); err != nil {
			return err
		}
	}
	began := time.Now()
	err = s.WatchEvent(ctx, &api.WatchEventRequest{Peer: &api.WatchEventRequest_Peer{}}, func(r *api.WatchEventResponse) {
		p := r.GetPeer()
		if p == nil || p.Peer.State.SessionState != api.PeerState_ESTABLISHED || p.Peer.State.NeighborAddress != "10.9.0.1" {
			return
		}
		// How long the first session took: read by the benchmark of connecting.
		_ = os.WriteFile(filepath.Join(c.Dir, "established"), []byte(time.Since(began).String()), 0o644)
	})
	if err != nil {
		return err
	}
	for _, a := range []string{"10.9.0.1", "fd09::1"} {
		if err := s.AddPeer(ctx, &api.AddPeerRequest{Peer: peer(a, c)}); err != nil {
			return err
		}
	}
	for {
		out := ""
		for _, f := range []*api.Family{{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}, {Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}} {
			if err := s.ListPath(ctx, &api.ListPathRequest{Family: f}, func(d *api.Destination) { out += d.Prefix + "\n" }); err != nil {
				return err
			}
		}
		path := filepath.Join(c.Dir, "learned")
		if err := os.WriteFile(path+".new", []byte(out), 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func peer(a string, c config) *api.Peer {
	family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	if netip.MustParseAddr(a).Is6() {
		family.Afi = api.Family_AFI_IP6
	}
	p := &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: a, PeerAsn: 65001, AuthPassword: c.Password},
		Timers:    &api.Timers{Config: &api.TimersConfig{HoldTime: 9, KeepaliveInterval: 3, ConnectRetry: 1, IdleHoldTimeAfterReset: 1}},
		Transport: &api.Transport{PassiveMode: c.Passive},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: family, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: c.GR}},
		}},
		GracefulRestart: &api.GracefulRestart{Enabled: c.GR, RestartTime: 20},
	}
	if c.GTSM {
		p.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 255}
	}
	return p
}

func originate(s *server.BgpServer, text string, gshut bool) error {
	attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(0)}
	p := netip.MustParsePrefix(text)
	var nlri bgp.AddrPrefixInterface
	if p.Addr().Is4() {
		nlri = bgp.NewIPAddrPrefix(uint8(p.Bits()), p.Addr().String())
		attrs = append(attrs, bgp.NewPathAttributeNextHop("10.9.0.2"))
	} else {
		nlri = bgp.NewIPv6AddrPrefix(uint8(p.Bits()), p.Addr().String())
		attrs = append(attrs, bgp.NewPathAttributeMpReachNLRI("fd09::2", []bgp.AddrPrefixInterface{nlri}))
	}
	if gshut {
		attrs = append(attrs, bgp.NewPathAttributeCommunities([]uint32{0xffff0000}))
	}
	path, err := apiutil.NewPath(nlri, false, attrs, time.Now())
	if err != nil {
		return err
	}
	_, err = s.AddPath(context.Background(), &api.AddPathRequest{Path: path})
	return err
}
