package gateway

import (
	"io"
	"strconv"
	"strings"
)

// exposition is a page in Prometheus' text format, version 0.0.4: families
// of samples, each family once.
type exposition struct{ b strings.Builder }

const expositionType = "text/plain; version=0.0.4; charset=utf-8"

// family opens a metric; the samples that follow are its own. typ is
// "gauge", "counter" or "histogram".
func (x *exposition) family(name, typ, help string) func(value float64, labels ...string) {
	x.b.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + typ + "\n")
	return func(value float64, labels ...string) { x.sample(name, value, labels...) }
}

// sample writes one line; labels are names and values in turn.
func (x *exposition) sample(name string, value float64, labels ...string) {
	x.b.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		x.b.WriteByte("{,"[min(i, 1)])
		x.b.WriteString(labels[i] + `="` + escapeLabel(labels[i+1]) + `"`)
	}
	if len(labels) > 1 {
		x.b.WriteByte('}')
	}
	x.b.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

// histogram writes a family of cumulative buckets, in seconds.
func (x *exposition) histogram(name, help string, h histogram) {
	x.family(name, "histogram", help)
	var sum uint64
	for i, n := range h.buckets {
		sum += n
		le := "+Inf"
		if i < repairBuckets {
			le = strconv.FormatFloat(bound(i).Seconds(), 'g', -1, 64)
		}
		x.sample(name+"_bucket", float64(sum), "le", le)
	}
	x.sample(name+"_sum", h.sum.Seconds())
	x.sample(name+"_count", float64(h.count))
}

func (x *exposition) writeTo(w io.Writer) error {
	_, err := io.WriteString(w, x.b.String())
	return err
}

func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(s)
}

// one is the value of a fact.
func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
