package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"gwlab/fault"
	"gwlab/lab/proc"
	"gwlab/reports/convergence"
)

// server serves the lab's socket; its requests end with the lab's life.
func (s *supervisor) server(life context.Context) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/info", answer(func(context.Context, none) (Info, error) { return s.info(), nil }))
	mux.HandleFunc("POST /v1/describe", answer(func(context.Context, none) (description, error) {
		return description{s.info(), s.model}, s.running()
	}))
	mux.HandleFunc("POST /v1/status", answer(func(ctx context.Context, _ none) (Status, error) {
		if err := s.running(); err != nil {
			return Status{}, err
		}
		return s.status(ctx)
	}))
	mux.HandleFunc("POST /v1/ready", answer(func(ctx context.Context, _ none) (readiness, error) {
		return s.awaitReady(ctx)
	}))
	mux.HandleFunc("POST /v1/target", verb(s, func(_ context.Context, r powerRequest) (proc.Target, error) {
		return withNode(s, r.Node, (*node).target)
	}))
	mux.HandleFunc("POST /v1/events", s.serveEvents)
	mux.HandleFunc("POST /v1/down", s.serveDown)
	s.linkVerbs(mux)
	s.nodeVerbs(mux)
	return &http.Server{
		Handler:           mux,
		BaseContext:       func(net.Listener) context.Context { return life },
		ReadHeaderTimeout: 5 * time.Second,
	}
}

// verb is an answer that only a lab that is up gives.
func verb[Request, Answer any](s *supervisor, fn func(context.Context, Request) (Answer, error)) http.HandlerFunc {
	return answer(func(ctx context.Context, r Request) (Answer, error) {
		if err := s.running(); err != nil {
			var nothing Answer
			return nothing, err
		}
		return fn(ctx, r)
	})
}

// withNode finds a node by its name and has fn look at it.
func withNode[Answer any](s *supervisor, name string, fn func(*node) (Answer, error)) (Answer, error) {
	n, ok := s.nodes[name]
	if !ok {
		var nothing Answer
		return nothing, fmt.Errorf("no node %q in lab %s: it has %s", name, s.dir.lab(), nodeNames(s.topology))
	}
	return fn(n)
}

func (s *supervisor) linkVerbs(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/cable", verb(s, func(_ context.Context, r cableRequest) (fault.Effect, error) {
		return s.links.set(r.Link, r.State)
	}))
	mux.HandleFunc("POST /v1/counters", verb(s, func(_ context.Context, r cableRequest) (bothCounters, error) {
		return s.links.counters(r.Link)
	}))
	mux.HandleFunc("POST /v1/port", verb(s, func(_ context.Context, r portRequest) (fault.Effect, error) {
		return s.links.setPort(r.Port, r.Up)
	}))
	mux.HandleFunc("POST /v1/carrier", verb(s, func(_ context.Context, r portRequest) (carrierAnswer, error) {
		return s.links.carrier(r.Port)
	}))
}

func (s *supervisor) nodeVerbs(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/poweroff", verb(s, func(_ context.Context, r powerRequest) (fault.Effect, error) {
		return withNode(s, r.Node, func(n *node) (fault.Effect, error) { return n.powerOff(s.links, r.Silent) })
	}))
	mux.HandleFunc("POST /v1/poweron", verb(s, func(ctx context.Context, r powerRequest) (fault.Effect, error) {
		return withNode(s, r.Node, func(n *node) (fault.Effect, error) { return n.powerOn(ctx, s.links) })
	}))
	mux.HandleFunc("POST /v1/signal", verb(s, func(ctx context.Context, r processRequest) (fault.Effect, error) {
		return withNode(s, r.Node, func(n *node) (fault.Effect, error) { return n.signal(ctx, r.Process, r.Signal) })
	}))
	mux.HandleFunc("POST /v1/start", verb(s, func(ctx context.Context, r processRequest) (fault.Effect, error) {
		return withNode(s, r.Node, func(n *node) (fault.Effect, error) { return n.start(ctx, r.Process) })
	}))
	mux.HandleFunc("POST /v1/pid", verb(s, func(_ context.Context, r processRequest) (pidAnswer, error) {
		return withNode(s, r.Node, func(n *node) (pidAnswer, error) { return n.pid(r.Process) })
	}))
}

// serveEvents streams the lab's events as lines of JSON, old ones first.
func (s *supervisor) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl")
	ctrl := http.NewResponseController(w)
	if err := ctrl.Flush(); err != nil { // the watcher sees that it is connected
		return
	}
	buffered := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(buffered)
	s.events.watch(r.Context(), func(events []convergence.Event) error { //nolint:errcheck // the watcher is gone
		for _, e := range events {
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
		return ctrl.Flush()
	})
}

// serveDown takes the lab down and tells the progress until all is gone.
func (s *supervisor) serveDown(w http.ResponseWriter, _ *http.Request) {
	steps := make(chan Progress, 64)
	s.mu.Lock()
	s.watchers[steps] = true
	s.mu.Unlock()
	out := newStream(w)
	out.send(downLine{Progress: &Progress{Stage: "stop", Text: "stopping"}}) //nolint:errcheck // it goes on without
	s.stop(nil)
	for {
		select {
		case p := <-steps:
			out.send(downLine{Progress: &p}) //nolint:errcheck // it goes on without
		case <-s.gone:
			line := downLine{Gone: true}
			if s.goneErr != nil {
				line = downLine{Error: s.goneErr.Error()}
			}
			out.send(line) //nolint:errcheck // the client is gone
			return
		}
	}
}
