//go:build race

package metrics

// raceDetector is true if the race detector is enabled, which makes the measurements invalid.
const raceDetector = true
