// Package strictyaml is the one way YAML enters the project. It owns decoding
// that refuses what an operator did not mean (unknown and duplicate keys,
// wrong types, values without their unit) and says where it stands and how to
// mend it: "file:line:column: what". It refuses the parts of YAML nobody
// needs here, because they hide meaning or cost unbounded memory: anchors,
// aliases, merge keys, tags, directives, explicit "?" keys and several
// documents in one file.
//
// [Decode] fills a struct by its `yaml:"name"` tags (options: required,
// inline). [Parse] keeps the [Document], so that a caller reports its own
// errors at the place they come from with [Document.Errorf]. A field of type
// [Map] keeps the order of the file; a field of type [Node] keeps a part of
// the document undecoded for later.
package strictyaml
