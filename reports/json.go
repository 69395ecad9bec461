package reports

import (
	"encoding/json"
	"fmt"
	"io"
)

func writeJSON(w io.Writer, r Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	var v any = r.Results
	if len(r.Results) == 1 {
		v = r.Results[0]
	}
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	return nil
}
