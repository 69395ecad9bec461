// Package engine runs one Plan on one lab: it keeps the clock of the
// timeline, injects and heals, undoes everything on every way out, and
// returns the raw Run. It refuses to judge, and knows of the lab only the
// interface it declares here.
package engine
