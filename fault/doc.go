// Package fault owns the catalogue of faults: each kind says what it does,
// how it is undone and which independent counter proves that it happened. It
// acts only through the verbs of Lab and refuses to touch the kernel itself.
package fault
