package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"gwlab/gateway"
	"gwlab/gateway/config"
)

func runCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway until SIGTERM or SIGINT",
		Long: "Run the gateway in the foreground. SIGTERM and SIGINT stop it gracefully, a second\n" +
			"one at once; SIGHUP reads the configuration again.",
		Example: "  gatewayd run --config /etc/gatewayd/gatewayd.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			return run(c.Context(), file, log)
		},
	}
	configFlag(c, &file)
	return c
}

func run(ctx context.Context, file string, log *slog.Logger) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("find configuration: %w", err)
	}
	load := func() (config.Config, error) { return loadConfig(file) }
	cfg, err := load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The next signal gets the kernel's default: an operator who presses
	// Ctrl-C twice does not want to wait for the drain.
	defer context.AfterFunc(ctx, stop)()

	d := gateway.New(cfg, gateway.Deps{Version: version(), Load: load, Log: log})
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	go func() {
		for {
			select {
			case <-hangUp:
				_ = d.Reload() // the daemon logs it and emits the event
			case <-ctx.Done():
				return
			}
		}
	}()
	return blame(d.Run(ctx))
}

func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", defaultConfig, "configuration file")
}

func loadConfig(file string) (config.Config, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return config.Config{}, fmt.Errorf("read configuration: %w: name one with --config", err)
	}
	cfg, err := config.Parse(file, src)
	if err != nil {
		return config.Config{}, fileError{err}
	}
	return cfg, nil
}
