// Package capability owns the answer to what this machine can do for a lab.
// It finds out by trying each thing in a scratch namespace that ends with the
// try, never by reading versions or build options. It refuses to change the
// machine: a missing thing is named with the way to get it.
package capability
