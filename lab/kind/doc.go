// Package kind knows the kinds of node a topology may have: one file a kind
// and one literal list. It turns a node into a Spec, all that a lab must do
// for it as plain values (files, processes, sysctls, routes, and how to ask
// whether it is ready), and the topology into the configuration of real
// routing daemons. It refuses to do any of it: no namespace, no process, no
// socket but the one it is handed.
package kind
