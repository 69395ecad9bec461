// Package config is the operator's configuration of one gatewayd: a strict
// YAML schema, its defaults and its validation. It refuses paths, sockets
// and clocks: text in, Config out.
package config
