package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"

	"gwlab/gateway/event"
	"gwlab/gateway/state"
)

// api serves what the daemon knows. Its functions are all it has of it, so
// that tests need no daemon.
type api struct {
	status  func() Status
	dump    func() (string, error)
	routes  func() map[netip.Prefix]state.Group
	reload  func() error
	metrics http.Handler
	bus     *event.Bus
}

// handler lists the API, whole.
func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", a.getStatus)
	mux.HandleFunc("GET /v1/events", a.getEvents)
	mux.HandleFunc("GET /v1/fib", a.getFIB)
	mux.HandleFunc("GET /v1/routes", a.getRoutes)
	mux.HandleFunc("POST /v1/reload", a.postReload)
	mux.Handle("GET /metrics", a.metrics)
	return mux
}

func (a *api) getStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(a.status()) // the reader went away: nobody to tell
}

// getEvents streams events as JSON lines: the history after since (ns of
// CLOCK_MONOTONIC), then, with follow, what happens until the reader leaves.
func (a *api) getEvents(w http.ResponseWriter, r *http.Request) {
	since, err := parameter(r, "since")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	follow, err := parameter(r, "follow")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sub := a.bus.Subscribe(since)
	defer sub.Close()
	w.Header().Set("Content-Type", "application/jsonl")
	flusher := http.NewResponseController(w)
	if follow == 0 {
		events, dropped := sub.Pending()
		_ = writeEvents(w, events, dropped)
		return
	}
	_ = flusher.Flush() // the reader knows it is subscribed
	for {
		events, dropped, err := sub.Next(r.Context())
		if err != nil || writeEvents(w, events, dropped) != nil || flusher.Flush() != nil {
			return
		}
	}
}

func parameter(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parameter %s=%q is not a whole number", name, text)
	}
	return n, nil
}

func writeEvents(w io.Writer, events []event.Event, dropped uint64) error {
	enc := json.NewEncoder(w)
	if dropped > 0 {
		lost := event.Event{Kind: event.Lost, Data: map[string]string{"events": strconv.FormatUint(dropped, 10)}}
		if len(events) > 0 {
			lost.T = events[0].T
		}
		if err := enc.Encode(lost); err != nil {
			return err
		}
	}
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) getFIB(w http.ResponseWriter, _ *http.Request) {
	text, err := a.dump()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// Route is one line of GET /v1/routes.
type Route struct {
	Prefix  netip.Prefix `json:"prefix"`
	Primary []string     `json:"primary"`
	Backup  []string     `json:"backup,omitempty"`
}

func (a *api) getRoutes(w http.ResponseWriter, _ *http.Request) {
	all := a.routes()
	prefixes := make([]netip.Prefix, 0, len(all))
	for p := range all {
		prefixes = append(prefixes, p)
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	w.Header().Set("Content-Type", "application/jsonl")
	enc := json.NewEncoder(w)
	for _, p := range prefixes {
		if enc.Encode(Route{p, nextHops(all[p].Primary), nextHops(all[p].Backup)}) != nil {
			return
		}
	}
}

func nextHops(in []state.NextHop) []string {
	out := make([]string, len(in))
	for i, nh := range in {
		out[i] = nh.Addr.String() + "%" + nh.Interface
	}
	return out
}

func (a *api) postReload(w http.ResponseWriter, _ *http.Request) {
	if err := a.reload(); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	}
}
