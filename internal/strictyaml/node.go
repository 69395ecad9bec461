package strictyaml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

type kind int

const (
	nullKind kind = iota
	boolKind
	intKind
	floatKind
	stringKind
	listKind
	mapKind
)

// tree is one value of a document and its place.
type tree struct {
	kind         kind
	line, column int
	text         string // of a scalar, as written but unquoted
	key          *tree  // the key it stands under, nil for list items and the root
	keys         []string
	items        []*tree // list items, or values in the order of keys
}

// describe names the value for "expected …, got …".
func (t *tree) describe() string {
	switch t.kind {
	case nullKind:
		return "nothing"
	case boolKind:
		return "the boolean " + t.text
	case intKind, floatKind:
		return "the number " + t.text
	case stringKind:
		text := []rune(t.text)
		if len(text) > 40 {
			return fmt.Sprintf("the text %q…", string(text[:40]))
		}
		return fmt.Sprintf("the text %q", t.text)
	case listKind:
		return "a list"
	case mapKind:
		return "a mapping"
	}
	return "something unknown"
}

// place is where an error about the value is reported: at the value itself,
// or at its key when it spans lines or is absent.
func (t *tree) place() (line, column int) {
	if t.key != nil && (t.kind == mapKind || t.kind == listKind || t.kind == nullKind) {
		return t.key.line, t.key.column
	}
	return t.line, t.column
}

func (t *tree) child(key string) *tree {
	if i := slices.Index(t.keys, key); t.kind == mapKind && i >= 0 {
		return t.items[i]
	}
	return nil
}

// Node is a part of a document: the root, or what stands under a key. The
// zero Node is one that is absent.
type Node struct {
	doc *Document
	t   *tree
}

// Root returns the whole document as a node.
func (d *Document) Root() Node { return Node{d, d.root} }

// At returns the node at a path such as "$.nodes.gw1.bgp", "$.links[2]" or,
// for a key with dots, `$.ports["eth0.100"]`; the zero Node when there is none.
func (d *Document) At(path string) Node {
	t, whole := d.find(path)
	if !whole {
		return Node{}
	}
	return Node{d, t}
}

// Keys returns the keys of the mapping at path in file order, nil when it is
// not a mapping.
func (d *Document) Keys(path string) []string { return d.At(path).Keys() }

// Decode fills out, a pointer, with the whole document; see [Node.Decode].
func (d *Document) Decode(out any) error { return d.Root().Decode(out) }

// Errorf returns an error at the value of a path (see [Document.At]). A
// mapping or a list is reported at its key. When the path leads nowhere, the
// error stands at its last part that exists.
func (d *Document) Errorf(path, format string, args ...any) *Error {
	t, _ := d.find(path)
	return Node{d, t}.Errorf(format, args...)
}

// KeyErrorf returns an error at the key of a path instead of its value.
func (d *Document) KeyErrorf(path, format string, args ...any) *Error {
	t, whole := d.find(path)
	if whole && t.key != nil {
		t = t.key
	}
	return Node{d, t}.Errorf(format, args...)
}

// find returns the deepest existing value on the path, and whether that is all of it.
func (d *Document) find(path string) (*tree, bool) {
	t := d.root
	for step := range steps(path) {
		next := t.child(step.key)
		if step.isIndex && t.kind == listKind && step.index >= 0 && step.index < len(t.items) {
			next = t.items[step.index]
		}
		if next == nil {
			return t, false
		}
		t = next
	}
	return t, true
}

type step struct {
	key     string
	index   int
	isIndex bool
}

// steps yields the parts of a path. A malformed path yields a step that
// matches nothing.
func steps(path string) func(yield func(step) bool) {
	return func(yield func(step) bool) {
		rest := strings.TrimPrefix(path, "$")
		for rest != "" {
			var s step
			switch quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(rest, "[")); {
			case rest[0] == '[' && err == nil:
				s.key, _ = strconv.Unquote(quoted)
				rest = strings.TrimPrefix(rest[1+len(quoted):], "]")
			case rest[0] == '[':
				var number string
				number, rest, _ = strings.Cut(rest[1:], "]")
				index, err := strconv.Atoi(number)
				s = step{index: index, isIndex: err == nil}
			default:
				rest = strings.TrimPrefix(rest, ".")
				end := strings.IndexAny(rest, ".[")
				if end < 0 {
					end = len(rest)
				}
				s.key, rest = rest[:end], rest[end:]
			}
			if !yield(s) {
				return
			}
		}
	}
}

// Path joins a parent path and a key, quoting the key where it needs it.
func Path(parent, key string) string {
	if key == "" || strings.ContainsAny(key, ".[]\"") {
		return parent + "[" + strconv.Quote(key) + "]"
	}
	return parent + "." + key
}

// IsZero reports whether the node is absent.
func (n Node) IsZero() bool { return n.t == nil }

// Line is where the node stands, from 1; 0 when absent.
func (n Node) Line() int {
	if n.t == nil {
		return 0
	}
	line, _ := n.t.place()
	return line
}

// Column is where the node stands, from 1; 0 when absent.
func (n Node) Column() int {
	if n.t == nil {
		return 0
	}
	_, column := n.t.place()
	return column
}

// Keys returns a mapping's keys in file order, nil for any other node.
func (n Node) Keys() []string {
	if n.t == nil || n.t.kind != mapKind {
		return nil
	}
	return slices.Clone(n.t.keys)
}

// Get returns what stands under a key of a mapping; the zero Node when absent.
func (n Node) Get(key string) Node {
	if n.t == nil {
		return Node{}
	}
	if c := n.t.child(key); c != nil {
		return Node{n.doc, c}
	}
	return Node{}
}

// Items returns the items of a list, nil for any other node.
func (n Node) Items() []Node {
	if n.t == nil || n.t.kind != listKind {
		return nil
	}
	out := make([]Node, len(n.t.items))
	for i, t := range n.t.items {
		out[i] = Node{n.doc, t}
	}
	return out
}

// IsMapping, IsList and IsScalar tell the node's shape.
func (n Node) IsMapping() bool { return n.t != nil && n.t.kind == mapKind }

// IsList tells whether the node is a list.
func (n Node) IsList() bool { return n.t != nil && n.t.kind == listKind }

// IsScalar tells whether the node is a text, number or boolean.
func (n Node) IsScalar() bool {
	return n.t != nil && n.t.kind != mapKind && n.t.kind != listKind && n.t.kind != nullKind
}

// Text returns a scalar as written, unquoted; "" for any other node.
func (n Node) Text() string {
	if !n.IsScalar() {
		return ""
	}
	return n.t.text
}

// Without returns the mapping less some keys, for decoding the rest into a
// type that a key of it chose.
func (n Node) Without(keys ...string) Node {
	if !n.IsMapping() {
		return n
	}
	t := *n.t
	t.keys, t.items = nil, nil
	for i, k := range n.t.keys {
		if !slices.Contains(keys, k) {
			t.keys, t.items = append(t.keys, k), append(t.items, n.t.items[i])
		}
	}
	return Node{n.doc, &t}
}

// Errorf returns an error at the node.
func (n Node) Errorf(format string, args ...any) *Error {
	e := &Error{Line: 1, Column: 1, Msg: fmt.Sprintf(format, args...)}
	if n.doc != nil {
		e.File = n.doc.file
	}
	if n.t != nil {
		e.Line, e.Column = n.t.place()
	}
	return e
}
