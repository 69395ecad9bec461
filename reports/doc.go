// Package reports turns judged runs into what people and machines read: the
// terminal's table, result.json, junit.xml and summary.md, one file of code
// each. It also owns the layout of a saved run, which is written before it is
// judged and can be loaded and judged again. It computes no metric and gives
// no verdict: package convergence does.
package reports
