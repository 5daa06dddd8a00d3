package configdir

// maxProblems is how many problems of one file are told; more than a person
// reads at once come from something that is no configuration.
const maxProblems = 100

// report collects the problems of one file.
type report struct {
	path     string
	data     []byte
	problems []Problem
}

// add notes a problem at an offset, cut off with a last line at maxProblems.
func (r *report) add(offset int, key, message string, warning bool) {
	if r.full() {
		return
	}
	if len(r.problems) == maxProblems-1 {
		key, message, warning = "", "many more problems follow; correct the ones above first", false
	}
	at := positionOf(r.data, offset)
	r.problems = append(r.problems, Problem{
		File: r.path, Line: at.line, Column: at.column, Key: key, Message: message, Warning: warning,
	})
}

func (r *report) full() bool { return len(r.problems) >= maxProblems }
