package strictyaml

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// Marshal writes v as YAML that [Decode] reads back, by the same tags; of
// their options it knows omitempty too.
func Marshal(v any) ([]byte, error) {
	out, err := yaml.MarshalWithOptions(v, yaml.Indent(2), yaml.IndentSequence(true),
		yaml.CustomMarshaler(quoted))
	if err != nil {
		return nil, fmt.Errorf("marshal YAML: %w", err)
	}
	return out, nil
}

// MarshalText writes "1000pps".
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// quoted writes a text plain if it reads back as itself, else in quotes.
func quoted(s string) ([]byte, error) {
	plain, err := yaml.Marshal(s)
	if err == nil && !strings.ContainsAny(s, "\r\n") {
		doc, err := Parse("", plain)
		if err == nil && doc.root.kind == stringKind && doc.root.text == s {
			return plain, nil
		}
	}
	return []byte(strconv.Quote(s)), nil
}
