package guest

import "time"

// pace spreads what is sent over time; the zero pace sends at full rate.
type pace struct{ ticker *time.Ticker }

// slowly is a pace at which every module keeps up.
func slowly() pace { return pace{time.NewTicker(10 * time.Millisecond)} }

// often is one at which a module that loses bursts loses little.
func often() pace { return pace{time.NewTicker(4 * time.Millisecond)} }

// wait waits for the next turn.
func (p pace) wait() {
	if p.ticker != nil {
		<-p.ticker.C
	}
}
