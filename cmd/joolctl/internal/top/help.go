package top

import "strings"

// help is the page of the keys and columns.
var help = strings.Split(strings.TrimSpace(`
Keys
  ↑ ↓ or k j      select a pair; in the details: scroll
  page up, down   the same by a screen; home and end: to the first and last one
  enter           show the details of the selected pair
  esc             go back; quit where the pairs are
  n v r l s       sort by name, severity, rates, lag, sessions
  ?               show this page, or hide it
  q, ctrl-c       quit

Columns
  SYNCED    yes if the table has all sessions of the peers' tables, no if not,
            alone if no peer can tell
  SESSIONS  in this table, and in the largest table of a live peer
  LAG       sessions that a live peer had not stored, and for how long
  IN/s      sessions per second given to the module, over 10 to 15 seconds
  OUT/s     sessions per second sent to the peers, over 10 to 15 seconds
  LOST      sessions that did not get to their destination
  PEERS     peers that are live
The bars are the last four minutes, each pair to its own scale.
`), "\n")

// helpBody is the help, clipped to the screen.
func (m model) helpBody() (lines []string) {
	for _, line := range help {
		lines = append(lines, clip(line, m.width))
	}
	return lines
}
