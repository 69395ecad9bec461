package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"gwlab/gateway"
	"gwlab/gateway/event"
)

func eventsCommand() *cobra.Command {
	var socket string
	var follow bool
	var since int64
	c := &cobra.Command{
		Use:     "events",
		Short:   "Print what happened, one JSON object a line",
		Long:    "Print the events the running gateway remembers. t_ns is CLOCK_MONOTONIC in nanoseconds.",
		Example: "  gatewayd events -f",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			enc := json.NewEncoder(c.OutOrStdout())
			err := gateway.Dial(socket).Events(ctx, since, follow, func(e event.Event) error { return enc.Encode(e) })
			if errors.Is(err, context.Canceled) {
				return nil // Ctrl-C is how one stops following
			}
			return blame(err)
		},
	}
	socketFlag(c, &socket)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on as events happen")
	c.Flags().Int64Var(&since, "since", 0, "only events after this t_ns")
	return c
}
