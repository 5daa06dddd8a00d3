package top

import "strings"

var (
	blocks = []rune("▁▂▃▄▅▆▇█")
	ascii  = []rune("_.:-=+*#")
)

// sparkline draws bars, the highest of which has the full height. Zero has the lowest character alone, and -1 is a blank.
func sparkline(bars []float64, ramp []rune) string {
	highest := 0.0
	for _, bar := range bars {
		highest = max(highest, bar)
	}
	var text strings.Builder
	for _, bar := range bars {
		switch {
		case bar < 0:
			text.WriteByte(' ')
		case bar == 0:
			text.WriteRune(ramp[0])
		default:
			steps := len(ramp) - 1
			text.WriteRune(ramp[min(1+int(bar/highest*float64(steps)), steps)])
		}
	}
	return text.String()
}
