package convergence

import "fmt"

// severity orders the verdicts.
func (v Verdict) severity() int {
	switch v {
	case Pass:
		return 0
	case Regressed:
		return 1
	case Fail:
		return 2
	case Invalid:
		return 3
	default:
		return 4
	}
}

// Worst returns the most severe of the verdicts, pass of none: pass <
// regressed < fail < invalid.
func Worst(verdicts ...Verdict) Verdict {
	worst := Pass
	for _, v := range verdicts {
		if v.severity() > worst.severity() {
			worst = v
		}
	}
	return worst
}

// Conclude sets the verdict of a result: that of its worst check, and invalid
// if there are reasons against any statement. A phase that waited for
// convergence in vain is a failed check of its own.
func Conclude(r *Result, run Run, checks []Check, reasons []string) {
	r.Checks, r.Reasons = checks, reasons
	for _, p := range run.Phases {
		if p.Converged < 0 {
			r.Checks = append(r.Checks, Check{
				Phase: p.Name, Text: "converged", Value: "no", Limit: "in time", Verdict: Fail,
				Reason: fmt.Sprintf("not recovered: the network had not converged when phase %s gave up waiting", p.Name),
			})
		}
	}
	r.Verdict = Pass
	for _, c := range r.Checks {
		r.Verdict = Worst(r.Verdict, c.Verdict)
	}
	if len(reasons) > 0 {
		r.Verdict = Invalid
	}
}
