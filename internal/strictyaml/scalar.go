package strictyaml

import (
	"encoding"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span; YAML must write its unit: "3s", "300ms".
type Duration = time.Duration

// Rate is a number of packets per second, written "1000pps".
type Rate int

// UnmarshalNode reads "1000pps".
func (r *Rate) UnmarshalNode(n Node) error {
	if !n.IsScalar() {
		return fmt.Errorf("expected a rate like 1000pps, got %s", n.t.describe())
	}
	got, err := ParseRate(n.Text())
	if err != nil {
		return err
	}
	*r = got
	return nil
}

// String returns "1000pps".
func (r Rate) String() string { return strconv.Itoa(int(r)) + "pps" }

// ParseRate reads "1000pps".
func ParseRate(s string) (Rate, error) {
	digits, found := strings.CutSuffix(s, "pps")
	n, err := strconv.ParseUint(digits, 10, 31)
	switch {
	case err == nil && !found:
		return 0, fmt.Errorf("missing unit: write %spps", s)
	case err != nil:
		return 0, fmt.Errorf("not a rate: %q, write packets per second like 1000pps", s)
	}
	return Rate(n), nil
}

// ParseDuration reads "3s" or "300ms": Go's syntax, unit required, not negative.
func ParseDuration(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("missing unit: write 3s or 300ms")
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("not a duration: %q, write 3s or 300ms", s)
	case d < 0:
		return 0, fmt.Errorf("negative duration %s: write 3s or 300ms", s)
	}
	return d, nil
}

func (d *decoder) duration(t *tree, out *time.Duration) {
	if !(Node{d.doc, t}).IsScalar() {
		d.errorf(t, "expected a duration like 3s or 300ms, got %s", t.describe())
		return
	}
	got, err := ParseDuration(t.text)
	if err != nil {
		d.errorf(t, "%s", err)
		return
	}
	*out = got
}

func (d *decoder) text(t *tree, out encoding.TextUnmarshaler) {
	what := "a text"
	switch out.(type) {
	case *netip.Addr:
		what = "an IP address like 192.0.2.1 or 2001:db8::1"
	case *netip.Prefix:
		what = "a prefix like 192.0.2.0/24 or 2001:db8::/32"
	case *netip.AddrPort:
		what = "an address and port like 192.0.2.1:179"
	}
	if !(Node{d.doc, t}).IsScalar() || t.text == "" {
		d.errorf(t, "expected %s, got %s", what, t.describe())
		return
	}
	if err := out.UnmarshalText([]byte(t.text)); err != nil {
		if what == "a text" {
			d.add(t, err)
			return
		}
		d.errorf(t, "expected %s, got %s", what, t.describe())
	}
}

func (d *decoder) scalar(t *tree, v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the rest is a programmer's error
	case reflect.String:
		switch t.kind {
		case stringKind:
			v.SetString(t.text)
		case boolKind, intKind, floatKind:
			d.errorf(t, "expected a text, got %s: write %q in quotes", t.describe(), t.text)
		case nullKind, listKind, mapKind:
			d.errorf(t, "expected a text, got %s", t.describe())
		}
	case reflect.Bool:
		if t.kind != boolKind {
			d.errorf(t, "expected true or false, got %s", t.describe())
			return
		}
		v.SetBool(strings.EqualFold(t.text, "true"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		bits := v.Type().Bits()
		n, err := strconv.ParseInt(t.text, 10, bits)
		if t.kind != intKind || err != nil || !decimal(t.text) {
			lo, hi := int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits)
			d.number(t, err, strconv.FormatInt(lo, 10), strconv.FormatInt(hi, 10))
			return
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		bits := v.Type().Bits()
		n, err := strconv.ParseUint(t.text, 10, bits)
		if t.kind != intKind || err != nil || !decimal(t.text) {
			d.number(t, err, "0", strconv.FormatUint(uint64(math.MaxUint64)>>(64-bits), 10))
			return
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(t.text, v.Type().Bits())
		octal := t.kind == intKind && !decimal(t.text)
		if (t.kind != intKind && t.kind != floatKind) || octal || err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			d.errorf(t, "expected a number, got %s", t.describe())
			return
		}
		v.SetFloat(n)
	default:
		d.errorf(t, "no YAML value fills a %s", v.Type())
	}
}

// number reports an integer that is none, or is out of its type's range.
func (d *decoder) number(t *tree, err error, lo, hi string) {
	if t.kind == intKind && decimal(t.text) && err != nil {
		d.errorf(t, "%s is out of range: %s … %s", t.text, lo, hi)
		return
	}
	d.errorf(t, "expected a whole decimal number, got %s", t.describe())
}

// decimal refuses what YAML reads as something else than it looks: 010, 0x10, 1_000.
func decimal(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || (len(digits) > 1 && digits[0] == '0') {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}

// number is a scalar of a field of type any: int64 or float64 when it is one, else the text.
func (t *tree) number() any {
	if t.kind == intKind && decimal(t.text) {
		if n, err := strconv.ParseInt(t.text, 10, 64); err == nil {
			return n
		}
	}
	if t.kind == floatKind {
		if f, err := strconv.ParseFloat(t.text, 64); err == nil {
			return f
		}
	}
	return t.text
}
