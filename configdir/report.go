package configdir

// maxProblems is the greatest number of problems that are reported of one file. A file with more is not a
// configuration.
const maxProblems = 100

// report collects the problems of one file.
type report struct {
	path     string
	data     []byte
	problems []Problem
}

// add adds a problem at an offset. The last of maxProblems says that others are left out.
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
