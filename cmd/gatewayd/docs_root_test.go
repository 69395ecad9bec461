package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// documented runs every command of docs/gatewayd.md beside the daemon of the
// gateway's namespace, and compares the output where the page shows one.
func (w *world) documented() {
	w.t.Helper()
	page, err := os.ReadFile("../../docs/gatewayd.md")
	if err != nil {
		w.t.Fatal(err)
	}
	yaml := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(string(page))
	write(w.t, w.dir, "gatewayd.yaml", yaml[1])
	write(w.t, w.dir, "bad.yaml", "asn: 64500\nrouter-id: 198.51.100.1\nbfd: {interval: 50}\n")
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for _, part := range strings.Split("\n"+block[1], "\n# ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			w.documentedCommand(command, strings.TrimSpace(want))
			ran++
		}
	}
	if ran < 5 {
		w.t.Errorf("the page shows only %d commands", ran)
	}
}

func (w *world) documentedCommand(command, want string) {
	w.t.Helper()
	words := strings.Fields(command)
	switch {
	case words[0] != "gatewayd":
		w.t.Errorf("%q is no command of gatewayd", command)
		return
	case words[1] == "run":
		return // it runs: the status commands talk to it
	case words[1] == "status", words[1] == "events":
		words = append(words, "--socket", w.socket("gw"))
	}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), self, words[1:]...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), "GATEWAYD_TEST_MAIN=1")
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(command, "bad.yaml") {
		w.t.Errorf("%s: %v\n%s", command, err, out)
	}
	if got := strings.TrimSpace(string(out)); got == "" || (want != "" && got != want) {
		w.t.Errorf("%s prints\n%s\nthe page says\n%s", command, got, want)
	}
}
