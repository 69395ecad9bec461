package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Unmarshaler is a type that decodes itself. Its error is reported at the
// node unless it is an [*Error] or [Errors], which stand where they say.
type Unmarshaler interface{ UnmarshalNode(Node) error }

// Decode parses src and fills out, a pointer; see [Node.Decode].
func Decode(file string, src []byte, out any) error {
	doc, err := Parse(file, src)
	if err != nil {
		return err
	}
	return doc.Decode(out)
}

// Decode fills out, a pointer to a value of any of: struct (by yaml tags),
// slice, [Map], map with string keys, pointer, string, bool, number,
// [time.Duration] (unit required), [Unmarshaler], [encoding.TextUnmarshaler],
// [Node], any. It decodes all it can and returns every error it met.
func (n Node) Decode(out any) error {
	v := reflect.ValueOf(out)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decode YAML: %T is not a pointer to fill", out)
	}
	if n.t == nil {
		return nil
	}
	d := decoder{doc: n.doc}
	d.value(n.t, v.Elem())
	return d.errs.Err()
}

type decoder struct {
	doc  *Document
	errs Errors
}

func (d *decoder) errorf(t *tree, format string, args ...any) {
	d.errs = append(d.errs, Node{d.doc, t}.Errorf(format, args...))
}

// add takes an error of a type's own decoding.
func (d *decoder) add(t *tree, err error) {
	var many Errors
	var one *Error
	switch {
	case err == nil:
	case errors.As(err, &many):
		d.errs = append(d.errs, many...)
	case errors.As(err, &one):
		d.errs = append(d.errs, one)
	default:
		d.errorf(t, "%s", err)
	}
}

func (d *decoder) value(t *tree, v reflect.Value) {
	if v.CanAddr() {
		switch p := v.Addr().Interface().(type) {
		case *Node:
			*p = Node{d.doc, t}
			return
		case Unmarshaler:
			d.add(t, p.UnmarshalNode(Node{d.doc, t}))
			return
		case *time.Duration:
			d.duration(t, p)
			return
		case encoding.TextUnmarshaler:
			d.text(t, p)
			return
		}
	}
	switch v.Kind() { //nolint:exhaustive // the rest is a programmer's error
	case reflect.Pointer:
		if t.kind == nullKind {
			return
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(t, v.Elem())
	case reflect.Struct:
		if d.want(t, mapKind, "a mapping") {
			d.structure(t, v)
		}
	case reflect.Map:
		if d.want(t, mapKind, "a mapping") {
			d.mapping(t, v)
		}
	case reflect.Slice:
		if d.want(t, listKind, "a list") {
			d.list(t, v)
		}
	case reflect.Interface:
		if x := t.plain(); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		d.scalar(t, v)
	}
}

// want checks the shape; an empty value stands for an empty collection.
func (d *decoder) want(t *tree, k kind, name string) bool {
	if t.kind == k || t.kind == nullKind {
		return true
	}
	mend := ""
	if k == listKind && t.kind != mapKind {
		mend = fmt.Sprintf(": write [%s]", t.text)
	}
	d.errorf(t, "expected %s, got %s%s", name, t.describe(), mend)
	return false
}

func (d *decoder) structure(t *tree, v reflect.Value) {
	fields := fieldsOf(v.Type())
	for i, key := range t.keys {
		f, ok := fields.byName(key)
		if !ok {
			d.errs = append(d.errs, Node{d.doc, t.items[i].key}.Errorf("%s", Unknown("key", key, fields.names())))
			continue
		}
		d.value(t.items[i], v.FieldByIndex(f.index))
	}
	for _, f := range fields {
		if f.required && t.child(f.name) == nil {
			d.errorf(t, "missing key %q", f.name)
		}
	}
}

func (d *decoder) list(t *tree, v reflect.Value) {
	out := reflect.MakeSlice(v.Type(), len(t.items), len(t.items))
	for i, item := range t.items {
		d.value(item, out.Index(i))
	}
	v.Set(out)
}

func (d *decoder) mapping(t *tree, v reflect.Value) {
	out := reflect.MakeMapWithSize(v.Type(), len(t.keys))
	for i := range t.keys {
		k := reflect.New(v.Type().Key()).Elem()
		d.value(t.items[i].key, k)
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(t.items[i], item)
		out.SetMapIndex(k, item)
	}
	v.Set(out)
}

// plain is the value as Go's own types, for fields of type any.
func (t *tree) plain() any {
	switch t.kind {
	case nullKind:
		return nil
	case boolKind:
		return strings.EqualFold(t.text, "true")
	case intKind, floatKind, stringKind:
		return t.number()
	case listKind:
		out := make([]any, len(t.items))
		for i, item := range t.items {
			out[i] = item.plain()
		}
		return out
	case mapKind:
		out := make(map[string]any, len(t.keys))
		for i, key := range t.keys {
			out[key] = t.items[i].plain()
		}
		return out
	}
	return nil
}

// field is one key a struct knows.
type field struct {
	name     string
	index    []int
	required bool
	typ      reflect.Type
}

type fields []field

func (fs fields) byName(name string) (field, bool) {
	for _, f := range fs {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func (fs fields) names() []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.name
	}
	return out
}

// fieldsOf lists the keys of a struct in the order of its source. A field
// without a yaml tag, or with "-", is not a key.
func fieldsOf(t reflect.Type) fields {
	var out fields
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		options = "," + options + ","
		switch {
		case strings.Contains(options, ",inline,"):
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				out = append(out, inner)
			}
		case !f.IsExported() || name == "" || name == "-":
		default:
			out = append(out, field{name, []int{i}, strings.Contains(options, ",required,"), f.Type})
		}
	}
	return out
}
