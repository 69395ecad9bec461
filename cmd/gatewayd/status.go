package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"gwlab/gateway"
)

func statusCommand() *cobra.Command {
	var socket, output string
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show peers, BFD sessions and routes of the running gateway",
		Example: "  gatewayd status\n  gatewayd status -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return fmt.Errorf("unknown output %q: use -o table or -o json", output)
			}
			s, err := gateway.Dial(socket).Status(c.Context())
			if err != nil {
				return blame(err)
			}
			if output == "table" {
				return blame(writeStatus(c.OutOrStdout(), s))
			}
			enc := json.NewEncoder(c.OutOrStdout())
			enc.SetIndent("", "  ")
			return blame(enc.Encode(s))
		},
	}
	socketFlag(c, &socket)
	c.Flags().StringVarP(&output, "output", "o", "table", "output format: table or json")
	return c
}

func socketFlag(c *cobra.Command, socket *string) {
	c.Flags().StringVarP(socket, "socket", "s", defaultSocket, "status socket of the daemon")
}
