package capability

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"gwlab/lab/netns"
)

// Capability is one thing that a lab may need, and whether it is there.
type Capability struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail is what the try showed: a version, or why it failed.
	Detail string `json:"detail,omitempty"`
	// Fix says how to get what is missing; empty if it is there.
	Fix string `json:"fix,omitempty"`
}

// check is how one capability is tried. A try runs on a locked thread inside
// a namespace that is thrown away after it.
type check struct {
	name string
	// bare checks run as the caller is, and need no namespace.
	bare bool
	try  func(ctx context.Context) (detail string, err error)
	fix  string
}

// tryTimeout bounds one try. The slowest, running a program, takes some 20 ms.
const tryTimeout = 5 * time.Second

// Probe tries everything. It takes some 0.2 s and leaves nothing behind.
func Probe(ctx context.Context) []Capability {
	var found []Capability
	for _, c := range checks() {
		found = append(found, c.run(ctx))
	}
	return found
}

// Require returns nil if everything named is there, else one line for each
// thing that is missing, with its fix. An unknown name is missing.
func Require(names ...string) error {
	known := map[string]check{}
	var all []string
	for _, c := range checks() {
		known[c.name] = c
		all = append(all, c.name)
	}
	var errs []error
	for _, name := range names {
		c, ok := known[name]
		if !ok {
			errs = append(errs, fmt.Errorf("capability %q is not known: known are %s", name, strings.Join(all, ", ")))
			continue
		}
		if got := c.run(context.Background()); !got.OK {
			errs = append(errs, fmt.Errorf("%s is missing (%s): %s", name, got.Detail, got.Fix))
		}
	}
	return errors.Join(errs...)
}

func (c check) run(ctx context.Context) Capability {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	var detail string
	try := func() (err error) {
		detail, err = c.try(ctx)
		return err
	}
	var err error
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case c.bare:
		err = try()
	default:
		err = netns.Scratch(try)
	}
	if err != nil {
		fix := c.fix
		if errors.Is(err, os.ErrPermission) && !strings.HasPrefix(fix, asRoot) {
			fix = asRoot // nothing was found out about the rest
		}
		return Capability{Name: c.name, Detail: oneLine(err.Error()), Fix: fix}
	}
	return Capability{Name: c.name, OK: true, Detail: oneLine(detail)}
}

// oneLine keeps a table a table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// version runs a program found in PATH or in one of the directories and
// returns the first line it prints.
func version(ctx context.Context, arg string, names ...string) (string, error) {
	var err error
	for _, name := range names {
		var path string
		if path, err = exec.LookPath(name); err != nil {
			continue
		}
		out, runErr := exec.CommandContext(ctx, path, arg).CombinedOutput()
		if runErr != nil {
			return "", fmt.Errorf("run %s %s: %w", path, arg, runErr)
		}
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return line, nil
	}
	return "", err
}
