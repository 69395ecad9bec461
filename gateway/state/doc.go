// Package state is what gatewayd wants of the kernel, as plain values that
// compare, differ and print. It refuses to know how the kernel is told.
package state
