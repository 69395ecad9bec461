package strictyaml

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// value decodes the one scalar text into a T.
func value[T any](text string) (T, error) {
	var out struct {
		V T `yaml:"v"`
	}
	err := Decode("f", []byte("v: "+text+"\n"), &out)
	return out.V, err
}

// holds wants the scalar to become that value.
func holds[T comparable](t *testing.T, text string, want T) {
	t.Helper()
	if got, err := value[T](text); err != nil || got != want {
		t.Errorf("%T of %s = %v, %v", want, text, got, err)
	}
}

// refuses wants an error at the scalar, with the words, and the zero value.
func refuses[T comparable](t *testing.T, text, words string) {
	t.Helper()
	var zero T
	place := "f:1:4: "
	if text == "" || strings.ContainsAny(text[:1], "~[{") {
		place = "f:1:1: " // its key
	}
	got, err := value[T](text)
	if err == nil || !strings.HasPrefix(err.Error(), place) || !strings.Contains(err.Error(), words) {
		t.Errorf("%T of %s: error %v, want …%s", zero, text, err, words)
	}
	if got != zero {
		t.Errorf("%T of %s is refused and yet %v", zero, text, got)
	}
}

// bounds holds a type's least and largest value, and refuses what lies beyond.
func bounds[T comparable](t *testing.T, least, largest T, below, above string) {
	t.Helper()
	span := fmt.Sprintf("is out of range: %v … %v", least, largest)
	holds(t, fmt.Sprint(least), least)
	holds(t, fmt.Sprint(largest), largest)
	refuses[T](t, below, below+" "+span)
	refuses[T](t, above, above+" "+span)
}

func TestIntegerBounds(t *testing.T) {
	bounds[int8](t, math.MinInt8, math.MaxInt8, "-129", "128")
	bounds[int16](t, math.MinInt16, math.MaxInt16, "-32769", "32768")
	bounds[int32](t, math.MinInt32, math.MaxInt32, "-2147483649", "2147483648")
	bounds[int64](t, math.MinInt64, math.MaxInt64, "-9223372036854775809", "9223372036854775808")
	bounds[int](t, math.MinInt, math.MaxInt, "-9223372036854775809", "9223372036854775808")
	bounds[uint8](t, 0, math.MaxUint8, "-1", "256")
	bounds[uint16](t, 0, math.MaxUint16, "-1", "65536")
	bounds[uint32](t, 0, math.MaxUint32, "-1", "4294967296")
	bounds[uint64](t, 0, math.MaxUint64, "-1", "18446744073709551616")
}

// A number that some reader of YAML takes for another one is none here.
func TestNumbersThatLookLikeOthers(t *testing.T) {
	for _, text := range []string{"010", "-010", "0x10", "0o17", "0b11", "1_000", "+5", "1.0", "1e3", ".5", `"5"`, "true", "five", "12:30", "[5]", "{a: 5}", ""} {
		refuses[int](t, text, "expected a whole decimal number, got ")
		refuses[uint16](t, text, "expected a whole decimal number, got ")
	}
	for _, text := range []string{"010", "0x10", "0o17", "1_000", ".inf", "-.inf", ".nan", `"1.5"`, "true", "[1.5]", ""} {
		refuses[float64](t, text, "expected a number, got ")
	}
	holds(t, "0", 0)
	holds(t, "-5", -5)
	holds(t, "0", 0.0)
	holds(t, "-12", -12.0)
	holds(t, "0.25", 0.25)
	holds(t, "-0.25", float32(-0.25))
}

func TestBooleans(t *testing.T) {
	for _, text := range []string{"true", "True", "TRUE"} {
		holds(t, text, true)
	}
	for _, text := range []string{"false", "False", "FALSE"} {
		got, err := value[*bool](text)
		if err != nil || got == nil || *got {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yes", "no", "on", "off", "y", "1", "0", `"true"`, "tRUE", "[true]", ""} {
		refuses[bool](t, text, "expected true or false, got ")
	}
}

func TestTexts(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", `"12"`: "12", "'true'": "true", `""`: "", "'it''s'": "it's", `"a\tb\u263a"`: "a\tb☺",
		"192.0.2.1": "192.0.2.1", "2026-01-01": "2026-01-01", "a b": "a b", "yes": "yes", "a # rest": "a", "a#b": "a#b",
	} {
		holds(t, text, want)
	}
	for _, text := range []string{"12", "-1", "1.5", "true", "False"} {
		refuses[string](t, text, fmt.Sprintf("write %q in quotes", text))
	}
	refuses[string](t, "", "expected a text, got nothing")
	refuses[string](t, "~", "expected a text, got nothing")
	refuses[string](t, "[a]", "expected a text, got a list")
	refuses[string](t, "{a: b}", "expected a text, got a mapping")
}

// A hostile value is quoted shortened, and by letters rather than bytes.
func TestLongValueInAnError(t *testing.T) {
	_, err := value[int](strings.Repeat("é", 5000))
	if want := `f:1:4: expected a whole decimal number, got the text "` + strings.Repeat("é", 40) + `"…`; err == nil || err.Error() != want {
		t.Errorf("got %.300v", err)
	}
}

func TestDurations(t *testing.T) {
	holds(t, "0s", time.Duration(0))
	holds(t, "1h2m3s4ms5us6ns", time.Hour+2*time.Minute+3*time.Second+4*time.Millisecond+5*time.Microsecond+6)
	holds(t, "1.5s", 1500*time.Millisecond)
	holds(t, `"3s"`, 3*time.Second)
	holds(t, "9223372036854775807ns", time.Duration(math.MaxInt64))
	for text, words := range map[string]string{
		"3": "missing unit: write 3s or 300ms", "0": "missing unit", "1.5": "missing unit",
		"-1s": "negative duration -1s", "3 s": "not a duration", "3d": "not a duration", "s": "not a duration", `""`: "not a duration",
		"9223372036854775808ns": "not a duration", "3000000h": "not a duration", "[3s]": "got a list", "{a: 3s}": "got a mapping", "": "got nothing",
	} {
		refuses[time.Duration](t, text, words)
	}
}

func TestRates(t *testing.T) {
	for _, r := range []Rate{0, 1, 1000, math.MaxInt32} {
		holds(t, r.String(), r)
	}
	for text, words := range map[string]string{
		"5": "missing unit: write 5pps", "-5pps": `not a rate: "-5pps"`, "2147483648pps": "not a rate", "1.5pps": "not a rate",
		"5 pps": "not a rate", "pps": "not a rate", "5kpps": "not a rate", "[5pps]": "got a list", "{}": "got a mapping", "": "got nothing",
	} {
		refuses[Rate](t, text, words)
	}
}

func TestAddresses(t *testing.T) {
	holds(t, "192.0.2.1", netip.MustParseAddr("192.0.2.1"))
	holds(t, `"::"`, netip.IPv6Unspecified())
	holds(t, "2001:db8::1", netip.MustParseAddr("2001:db8::1"))
	holds(t, "0.0.0.0/0", netip.MustParsePrefix("0.0.0.0/0"))
	holds(t, "2001:db8::/128", netip.MustParsePrefix("2001:db8::/128"))
	holds(t, `"[::1]:179"`, netip.MustParseAddrPort("[::1]:179"))
	for _, text := range []string{"192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1/32", "localhost", "12", "1.5", `""`, "", "[192.0.2.1]"} {
		refuses[netip.Addr](t, text, "expected an IP address like ")
	}
	for _, text := range []string{"192.0.2.0", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/024", "2001:db8::/129", "fe80::1%eth0/64", "[10.0.0.0/8]", ""} {
		refuses[netip.Prefix](t, text, "expected a prefix like ")
	}
	for _, text := range []string{"192.0.2.1", "192.0.2.1:65536", "2001:db8::1:179", `"192.0.2.1:"`, "179"} {
		refuses[netip.AddrPort](t, text, "expected an address and port like ")
	}
}

// colour is a type of a caller's own.
type colour struct{ name string }

func (c *colour) UnmarshalText(text []byte) error {
	if c.name = string(text); c.name != "red" {
		c.name = ""
		return fmt.Errorf("no colour %q: write red", text)
	}
	return nil
}

func TestOwnText(t *testing.T) {
	holds(t, "red", colour{"red"})
	refuses[colour](t, "blue", `no colour "blue": write red`)
	refuses[colour](t, "[red]", "expected a text, got a list")
	refuses[colour](t, "", "expected a text, got nothing")
}

// A field of type any has Go's own types, and no number that is not certain.
func TestFreeValues(t *testing.T) {
	for text, want := range map[string]any{
		"true": true, "True": true, "FALSE": false, "~": nil, "": nil, "null": nil, `""`: "", "yes": "yes",
		"12": int64(12), "-12": int64(-12), "1.5": 1.5, "010": "010", "0x10": "0x10", "+5": "+5",
		"9223372036854775807": int64(math.MaxInt64), "9223372036854775808": "9223372036854775808",
		`"12"`: "12", ".inf": ".inf", "2026-01-01": "2026-01-01", "12:30": "12:30",
	} {
		if got, err := value[any](text); err != nil || got != want {
			t.Errorf("%s = %#v, %v; want %#v", text, got, err, want)
		}
	}
}

// What Go type no value can fill is the programmer's error, told at the value.
func TestTypeWithoutYAML(t *testing.T) {
	refuses[chan int](t, "1", "no YAML value fills a chan int")
	refuses[complex128](t, "1", "no YAML value fills a complex128")
}
