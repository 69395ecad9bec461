package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "check",
		Short:   "Check a configuration; errors are file:line:column, exit code 2",
		Example: "  gatewayd check --config /etc/gatewayd/gatewayd.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: ok, AS %d with %d neighbors\n", file, cfg.ASN, len(cfg.Neighbors))
			return nil
		},
	}
	configFlag(c, &file)
	return c
}
