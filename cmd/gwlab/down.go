package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"gwlab/lab"
)

// theLab is the lab a command is about: the named one, or the only one.
func (a *app) theLab(c *cobra.Command, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	labs, err := lab.List(c.Context())
	if err != nil {
		return "", broken(err)
	}
	switch len(labs) {
	case 0:
		return "", badInput(errors.New("no lab is up: gwlab up -t dual-isp"))
	case 1:
		return labs[0].Name, nil
	default:
		var names []string
		for _, l := range labs {
			names = append(names, l.Name)
		}
		return "", badInput(fmt.Errorf("several labs are up, name one of %v", names))
	}
}

func (a *app) down() *cobra.Command {
	return &cobra.Command{
		Use:     "down [LAB]",
		Short:   "Take a lab down",
		Long:    "Take a lab down and remove all of it. A lab that is not there is no error.",
		Example: "  gwlab down pair",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := a.theLab(c, args)
			if err != nil {
				return err
			}
			_, unknown := os.Stat(filepath.Join(lab.Root, name))
			p := a.newProgress()
			err = lab.Down(c.Context(), name, p.lab)
			p.done()
			if err != nil {
				return labError(c.Context(), err)
			}
			if a.output == "json" {
				return a.json(map[string]string{"name": name, "state": "down"})
			}
			if errors.Is(unknown, os.ErrNotExist) {
				fmt.Fprintf(a.out, "no lab %s was up\n", name)
				return nil
			}
			fmt.Fprintf(a.out, "%s is down\n", name)
			return nil
		},
	}
}

func (a *app) sweep() *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:     "sweep",
		Short:   "Remove what dead labs left behind",
		Long:    "Remove every namespace, process, mount and file of labs whose supervisor is dead. Living labs stay, unless --all.",
		Example: "  gwlab sweep",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			removed, err := lab.Sweep(c.Context(), all)
			if err != nil {
				return labError(c.Context(), err)
			}
			if a.output == "json" {
				return a.json(removed)
			}
			if len(removed) == 0 {
				fmt.Fprintln(a.out, "nothing was left behind")
			}
			for _, r := range removed {
				fmt.Fprintln(a.out, "removed", r)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "take living labs down too")
	return c
}
