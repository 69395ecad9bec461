package strictyaml

import (
	"fmt"
	"reflect"
)

// Map is a mapping in the order of the file.
type Map[V any] []Entry[V]

// Entry is one key of a [Map], its value, and where the key stands.
type Entry[V any] struct {
	Key          string
	Value        V
	Line, Column int
}

// UnmarshalNode keeps the order and the places. An empty value is the zero V.
func (m *Map[V]) UnmarshalNode(n Node) error {
	d := decoder{doc: n.doc}
	if n.t.kind != mapKind && n.t.kind != nullKind {
		return fmt.Errorf("expected a mapping, got %s", n.t.describe())
	}
	*m = make(Map[V], len(n.t.keys))
	for i, key := range n.t.keys {
		at := n.t.items[i].key
		e := &(*m)[i]
		e.Key, e.Line, e.Column = key, at.line, at.column
		d.value(n.t.items[i], reflect.ValueOf(&e.Value).Elem())
	}
	return d.errs.Err()
}

// Get returns the value of a key, and whether it is there.
func (m Map[V]) Get(key string) (V, bool) {
	for _, e := range m {
		if e.Key == key {
			return e.Value, true
		}
	}
	var zero V
	return zero, false
}

// schema lets KeyPaths look inside without knowing V.
func (Map[V]) schema() reflect.Type { return reflect.TypeFor[V]() }

// KeyPaths lists every key a value's type accepts, in order: "bfd.interval",
// "neighbors[].asn", "nodes.*.kind". A type that decodes itself is a leaf.
func KeyPaths(v any) []string {
	var out []string
	walk(reflect.TypeOf(v), "", 0, func(p string) { out = append(out, p) })
	return out
}

func walk(t reflect.Type, path string, depth int, emit func(string)) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if m, ok := reflect.Zero(t).Interface().(interface{ schema() reflect.Type }); ok {
		walk(m.schema(), path+".*", depth, emit)
		return
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[Unmarshaler]()) || t == reflect.TypeFor[Node]() || depth > maxDepth {
		return
	}
	switch t.Kind() { //nolint:exhaustive // the rest are leaves
	case reflect.Slice:
		walk(t.Elem(), path+"[]", depth, emit)
	case reflect.Map:
		walk(t.Elem(), path+".*", depth, emit)
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			p := f.name
			if path != "" {
				p = path + "." + f.name
			}
			emit(p)
			walk(f.typ, p, depth+1, emit)
		}
	}
}
