package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gwlab/reports"
	"gwlab/reports/convergence"
	"gwlab/scenarios"
)

func (a *app) report() *cobra.Command {
	format := ""
	c := &cobra.Command{
		Use:   "report DIR…",
		Short: "Judge recorded runs again and rewrite their reports",
		Long: `Judge recorded runs again, with today's arithmetic, and rewrite their reports.
It needs no lab and no root.`,
		Example: "  gwlab report runs/UPLINK-02/latest",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var all reports.Report
			for _, dir := range args {
				result, err := rejudge(dir)
				if err != nil {
					return badInput(err)
				}
				all.Results = append(all.Results, result)
			}
			if err := a.write(all, format); err != nil {
				return err
			}
			r := runner{app: a, results: all.Results}
			return r.exit()
		},
	}
	c.Flags().StringVarP(&format, "format", "f", "", "print this format instead: "+strings.Join(formats(), ", "))
	return c
}

// rejudge loads a run, judges it by the scenario it was recorded with, and
// replaces the reports beside it.
func rejudge(dir string) (convergence.Result, error) {
	run, err := reports.Load(dir)
	if err != nil {
		return convergence.Result{}, err
	}
	s, err := scenarios.Parse(filepath.Join(dir, "run.json: scenario_text"), []byte(run.ScenarioText))
	if err != nil {
		return convergence.Result{}, err
	}
	result := scenarios.Judge(s, run)
	one := reports.Report{Results: []convergence.Result{result}, Reproduce: fmt.Sprintf("gwlab run %s --seed %d", s.ID, run.Seed)}
	defer inheritFiles(dir)
	return result, reports.SaveReport(dir, one)
}

func (a *app) write(r reports.Report, format string) error {
	if format == "" && a.output == "json" {
		format = "json"
	}
	if format == "" || format == "table" {
		return reports.WriteTable(a.out, r, a.terminal)
	}
	for _, f := range reports.Formats() {
		if f.Name == format {
			return f.Write(a.out, r)
		}
	}
	return badInput(fmt.Errorf("unknown format %q: use one of %s", format, strings.Join(formats(), ", ")))
}

func formats() []string {
	var names []string
	for _, f := range reports.Formats() {
		names = append(names, f.Name)
	}
	return names
}
