package strictyaml

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// Marshal writes v as YAML that [Decode] reads back, by the same tags; of
// their options it knows omitempty too.
func Marshal(v any) ([]byte, error) {
	out, err := yaml.MarshalWithOptions(v, yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("marshal YAML: %w", err)
	}
	return out, nil
}

// MarshalText writes "1000pps".
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
