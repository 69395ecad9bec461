package lab

// Refusal is an error over something the user can mend, found before
// anything was built or taken down: a name, a missing program, a lab that is
// up already.
type Refusal struct{ err error }

// Error tells what was wrong and how to mend it.
func (r Refusal) Error() string { return r.err.Error() }

// Unwrap returns what was wrong.
func (r Refusal) Unwrap() error { return r.err }

// mendable makes a Refusal of an error, and nil of nil.
func mendable(err error) error {
	if err == nil {
		return nil
	}
	return Refusal{err}
}
