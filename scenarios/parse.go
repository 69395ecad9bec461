package scenarios

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"gwlab/fault"
	"gwlab/internal/strictyaml"
)

// defaultWithin bounds a wait for convergence where the step names no bound.
const defaultWithin = 30 * time.Second

// The YAML forms. Their exported twins are what the program works with.
type (
	scenarioYAML struct {
		ID       string                       `yaml:"id,required"`
		About    string                       `yaml:"about,required"`
		Topology string                       `yaml:"topology,required"`
		Repeat   int                          `yaml:"repeat"`
		Flows    strictyaml.Map[flowYAML]     `yaml:"flows,required"`
		Timeline []stepYAML                   `yaml:"timeline,required"`
		Expect   strictyaml.Map[[]expectYAML] `yaml:"expect,required"`
	}
	flowYAML struct {
		From   string          `yaml:"from,required"`
		To     string          `yaml:"to,required"`
		Proto  string          `yaml:"proto"`
		Rate   strictyaml.Rate `yaml:"rate"`
		Count  int             `yaml:"count"`
		Family string          `yaml:"family"`
	}
	stepYAML struct {
		At     *time.Duration  `yaml:"at"`
		After  string          `yaml:"after"`
		Hold   time.Duration   `yaml:"hold"`
		Within time.Duration   `yaml:"within"`
		Jitter time.Duration   `yaml:"jitter"`
		Phase  string          `yaml:"phase,required"`
		Inject strictyaml.Node `yaml:"inject"`
		Heal   string          `yaml:"heal"`
	}
	expectYAML struct {
		Metric string        `yaml:"metric"`
		Flows  []string      `yaml:"flows"`
		Stat   string        `yaml:"stat"`
		Max    *Quantity     `yaml:"max"`
		Min    *Quantity     `yaml:"min"`
		Event  string        `yaml:"event"`
		Node   string        `yaml:"node"`
		Key    string        `yaml:"key"`
		Within time.Duration `yaml:"within"`
	}
)

// Parse reads a scenario. Every error is one line "file:line:column: what,
// and how to mend it"; several are joined. Nothing is checked against a
// topology yet: Compile does that.
func Parse(file string, src []byte) (*Scenario, error) {
	doc, err := strictyaml.Parse(file, src)
	if err != nil {
		return nil, err
	}
	var y scenarioYAML
	if err := doc.Decode(&y); err != nil {
		return nil, err
	}
	p := parser{doc: doc}
	s := p.scenario(&y)
	s.File, s.Source = file, src
	return s, errors.Join(p.errs...)
}

// Load reads the scenario of that id, in any case, or file name from a library.
func Load(fsys fs.FS, name string) (*Scenario, error) {
	all, err := All(fsys)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, s := range all {
		if strings.EqualFold(s.ID, name) || s.File == name || strings.TrimSuffix(s.File, suffix) == name {
			return s, nil
		}
		known = append(known, s.ID)
	}
	return nil, errors.New(strictyaml.Unknown("scenario", name, known))
}

type parser struct {
	doc  *strictyaml.Document
	errs []error
}

func (p *parser) errorf(path, format string, args ...any) {
	p.errs = append(p.errs, p.doc.Errorf(path, format, args...))
}

// written tells an absent key from one that is written as zero.
func (p *parser) written(path string) bool { return !p.doc.At(path).IsZero() }

func (p *parser) scenario(y *scenarioYAML) *Scenario {
	s := &Scenario{ID: y.ID, About: y.About, Topology: y.Topology, Repeat: max(y.Repeat, 1)}
	if !validID(y.ID) {
		p.errorf("$.id", "bad id %q: use letters, digits, - and _ (at most 40), such as UPLINK-02", y.ID)
	}
	if y.Repeat < 0 || y.Repeat > 1000 || (y.Repeat == 0 && p.written("$.repeat")) {
		p.errorf("$.repeat", "repeat %d is out of range: 1 … 1000", y.Repeat)
	}
	for _, e := range y.Flows {
		s.Flows = append(s.Flows, p.flow(e.Key, e.Value))
	}
	for i, st := range y.Timeline {
		s.Timeline = append(s.Timeline, p.step(i, y.Timeline, st))
	}
	p.timeline(s, y.Timeline)
	for _, e := range y.Expect {
		for i, ex := range e.Value {
			s.Expect = append(s.Expect, p.expect(s, fmt.Sprintf("%s[%d]", strictyaml.Path("$.expect", e.Key), i), e.Key, ex))
		}
	}
	return s
}

func (p *parser) flow(name string, y flowYAML) Flow {
	at := strictyaml.Path("$.flows", name)
	f := Flow{Name: name, From: y.From, To: y.To, Rate: int(y.Rate), Count: y.Count, Family: y.Family, place: p.doc.At(at)}
	if !p.written(at + ".rate") {
		f.Rate = 1000
	}
	if !p.written(at + ".count") {
		f.Count = 1
	}
	if f.Family == "" {
		f.Family = "both"
	}
	switch {
	case !validID(name):
		p.errorf(at, "bad flow name %q: use letters, digits, - and _ (at most 40)", name)
	case y.Proto != "" && y.Proto != "udp":
		p.errorf(at+".proto", "%s", strictyaml.Unknown("proto", y.Proto, []string{"udp"}))
	case f.Rate < 1 || f.Rate > 1000:
		p.errorf(at+".rate", "rate %dpps is out of range: 1pps … 1000pps a stream; raise count for more", f.Rate)
	case f.Count < 1 || f.Count > 64:
		p.errorf(at+".count", "count %d is out of range: 1 … 64", f.Count)
	case !slices.Contains(families, f.Family):
		p.errorf(at+".family", "%s", strictyaml.Unknown("family", f.Family, families))
	case f.From == f.To:
		p.errorf(at+".to", "flow %s goes from %s to itself: name two nodes", name, f.From)
	}
	return f
}

var families = []string{"both", "ipv4", "ipv6"}

func (p *parser) step(i int, all []stepYAML, y stepYAML) Step {
	at := fmt.Sprintf("$.timeline[%d]", i)
	s := Step{Hold: y.Hold, Within: y.Within, Jitter: y.Jitter, Phase: y.Phase}
	switch {
	case y.At != nil && y.After != "":
		p.errorf(at+".after", "at and after in one step: keep one of them")
	case y.At != nil:
		s.At = *y.At
		if i > 0 && all[i-1].At != nil && *all[i-1].At+all[i-1].Jitter > s.At {
			p.errorf(at+".at", "at %s is before the step above it can end: order the timeline by time", s.At)
		}
		if y.Hold > 0 {
			p.errorf(at+".hold", "hold goes with after; write the time into at")
		}
	case y.After == "converged":
		s.AfterConverged = true
	case y.After != "":
		p.errorf(at+".after", "%s", strictyaml.Unknown("condition", y.After, []string{"converged"}))
	default:
		p.errorf(at, "a step needs at: or after:, such as {at: 2s, …} or {after: converged, hold: 2s, …}")
	}
	if s.Within == 0 {
		s.Within = defaultWithin
	}
	if y.Heal == "all" {
		s.Heal = true
	} else if y.Heal != "" {
		p.errorf(at+".heal", "%s", strictyaml.Unknown("heal", y.Heal, []string{"all"}))
	}
	s.Inject = p.injects(at+".inject", y.Inject)
	return s
}

// injects takes one fault or a list of them.
func (p *parser) injects(at string, n strictyaml.Node) []Inject {
	switch {
	case n.IsZero():
		return nil
	case n.IsList():
		var out []Inject
		for _, item := range n.Items() {
			out = append(out, p.inject(at, item)...)
		}
		return out
	default:
		return p.inject(at, n)
	}
}

func (p *parser) inject(at string, n strictyaml.Node) []Inject {
	kind := n.Get("kind")
	if !n.IsMapping() || kind.IsZero() {
		p.errs = append(p.errs, n.Errorf("inject needs a kind, such as {kind: link.cut, link: \"gw1:isp1\"}"))
		return nil
	}
	f, err := fault.New(kind.Text())
	if err != nil {
		p.errs = append(p.errs, kind.Errorf("%s", err))
		return nil
	}
	if err := n.Without("kind").Decode(f); err != nil {
		p.errs = append(p.errs, err)
		return nil
	}
	return []Inject{{Kind: kind.Text(), Fault: f, place: n}}
}

// timeline checks what only the whole of it shows.
func (p *parser) timeline(s *Scenario, written []stepYAML) {
	seen := map[string]bool{}
	active := false
	for i, st := range s.Timeline {
		at := fmt.Sprintf("$.timeline[%d]", i)
		if seen[st.Phase] || !validID(st.Phase) {
			p.errorf(at+".phase", "phase %q is a duplicate or not a name: each step begins a phase of its own", st.Phase)
		}
		seen[st.Phase] = true
		if st.Heal && !active {
			p.errorf(at+".heal", "nothing to heal: no fault is active at this step")
		}
		active = (active && !st.Heal) || !written[i].Inject.IsZero()
	}
	switch n := len(s.Timeline); {
	case n < 2:
		p.errorf("$.timeline", "a timeline needs at least two steps: the first phase and the end")
	case len(s.Timeline[n-1].Inject) > 0:
		p.errorf(fmt.Sprintf("$.timeline[%d].inject", n-1), "the last step ends the run: inject in a step before it")
	}
	if len(s.Flows) == 0 {
		p.errorf("$.flows", "a scenario needs at least one flow")
	}
}

func validID(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return s != "" && len(s) <= 40 && strings.Trim(s, allowed) == "" && s[0] != '-'
}
