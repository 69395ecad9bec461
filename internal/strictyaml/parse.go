package strictyaml

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// MaxSize is the largest document accepted, in bytes.
	MaxSize = 1 << 20
	// maxDepth bounds nesting, and with it the recursion of every walk.
	maxDepth = 64
)

// Document is a parsed YAML document that remembers where everything stands.
type Document struct {
	file string
	root *tree
}

// Parse reads one YAML document. file is only a name for errors.
func Parse(file string, src []byte) (doc *Document, err error) {
	fail := func(line, column int, format string, args ...any) (*Document, error) {
		return nil, Errors{{file, line, column, fmt.Sprintf(format, args...)}}
	}
	switch {
	case len(src) > MaxSize:
		return fail(1, 1, "document of %d bytes: at most %d are accepted", len(src), MaxSize)
	case !utf8.Valid(src):
		return fail(1, 1, "not UTF-8 text: save the file as UTF-8")
	}
	// The YAML library is the one piece here that sees hostile bytes; a bug
	// in it must not take a running daemon down with a bad reload.
	defer func() {
		if r := recover(); r != nil {
			doc, err = fail(1, 1, "not readable as YAML: %v", r)
		}
	}()
	tokens := lexer.Tokenize(string(src))
	if e := refuse(tokens); e != nil {
		e.File = file
		return nil, Errors{e}
	}
	parsed, perr := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if perr != nil {
		return nil, Errors{syntaxError(file, perr)}
	}
	b := builder{file: file}
	root := &tree{kind: nullKind, line: 1, column: 1}
	bodies := 0
	for _, d := range parsed.Docs {
		if d.Body == nil {
			continue
		}
		if bodies++; bodies > 1 {
			p := b.build(d.Body, 0)
			return fail(p.line, p.column, "second document in one file: keep one")
		}
		root = b.build(d.Body, 0)
	}
	if err := b.errs.Err(); err != nil {
		return nil, err
	}
	return &Document{file: file, root: root}, nil
}

// syntaxError rewords the library's multi-line error as one line.
func syntaxError(file string, err error) *Error {
	out := &Error{File: file, Line: 1, Column: 1, Msg: "not readable as YAML: " + err.Error()}
	var y yaml.Error
	if errors.As(err, &y) {
		out.Msg = "not readable as YAML: " + y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			out.Line, out.Column = max(1, t.Position.Line), max(1, t.Position.Column)
		}
	}
	return out
}

// refuse finds the YAML features that are not accepted, before anything recurses.
func refuse(tokens token.Tokens) *Error {
	flow, dashes, dashLine := 0, 0, 0
	for _, t := range tokens {
		what := ""
		switch t.Type { //nolint:exhaustive // only what is refused is named
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			what = "anchors and aliases are not accepted: write the value out"
		case token.TagType:
			what = "tags are not accepted: remove " + t.Value
		case token.DirectiveType:
			what = "directives are not accepted: remove the line"
		case token.MappingKeyType:
			what = `"?" keys are not accepted: write key: value`
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			if t.Position.Line != dashLine {
				dashLine, dashes = t.Position.Line, 0
			}
			dashes++
		default:
		}
		if flow > maxDepth || dashes > maxDepth || (flow <= 0 && t.Position.IndentLevel > maxDepth) {
			what = fmt.Sprintf("nested deeper than %d levels", maxDepth)
		}
		if what != "" {
			return &Error{Line: t.Position.Line, Column: t.Position.Column, Msg: what}
		}
	}
	return nil
}

type builder struct {
	file string
	errs Errors
}

func (b *builder) errorf(t *tree, format string, args ...any) {
	b.errs = append(b.errs, &Error{b.file, t.line, t.column, fmt.Sprintf(format, args...)})
}

// build turns the library's syntax tree into ours.
func (b *builder) build(n ast.Node, depth int) *tree {
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.mapping(n, n.Values, depth)
	case *ast.MappingValueNode:
		return b.mapping(n, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out := at(n, listKind)
		for _, v := range n.Values {
			if item := b.child(v, depth); item != nil {
				out.items = append(out.items, item)
			}
		}
		return out
	default:
		return b.scalar(n)
	}
}

func (b *builder) child(n ast.Node, depth int) *tree {
	if n == nil {
		return &tree{kind: nullKind, line: 1, column: 1}
	}
	if depth >= maxDepth {
		t := b.scalar(n)
		if len(b.errs) == 0 {
			b.errorf(t, "nested deeper than %d levels", maxDepth)
		}
		return nil
	}
	return b.build(n, depth+1)
}

func (b *builder) mapping(n ast.Node, values []*ast.MappingValueNode, depth int) *tree {
	out := at(n, mapKind)
	seen := make(map[string]*tree, len(values))
	for i, v := range values {
		key := at(v.Key, stringKind)
		if t := v.Key.GetToken(); t != nil {
			key.text = t.Value
		}
		if m, ok := n.(*ast.MappingNode); i == 0 && (!ok || !m.IsFlowStyle) {
			out.line, out.column = key.line, key.column
		}
		if first := seen[key.text]; first != nil {
			b.errorf(key, "duplicate key %q: line %d has it already, keep one", key.text, first.line)
			continue
		}
		seen[key.text] = key
		value := b.child(v.Value, depth)
		if value == nil {
			continue
		}
		value.key = key
		out.keys, out.items = append(out.keys, key.text), append(out.items, value)
	}
	return out
}

func (b *builder) scalar(n ast.Node) *tree {
	switch n := n.(type) {
	case *ast.StringNode:
		t := at(n, stringKind)
		t.text = n.Value
		if n.GetToken().Type == token.StringType && decimal(t.text) {
			t.kind = intKind // the library takes what is beyond 64 bits for a text
		}
		return t
	case *ast.LiteralNode:
		t := at(n, stringKind)
		t.text = n.Value.Value
		return t
	case *ast.IntegerNode:
		return at(n, intKind)
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return at(n, floatKind)
	case *ast.BoolNode:
		return at(n, boolKind)
	case *ast.NullNode:
		return at(n, nullKind)
	default:
		t := at(n, nullKind)
		b.errorf(t, "%s is not accepted here", n.Type())
		return t
	}
}

// at returns a tree of that kind with the node's place and source text.
func at(n ast.Node, kind kind) *tree {
	t := &tree{kind: kind, line: 1, column: 1}
	if tok := n.GetToken(); tok != nil && tok.Position != nil {
		t.line, t.column, t.text = max(1, tok.Position.Line), max(1, tok.Position.Column), tok.Value
	}
	return t
}
