//go:build race

package metrics

// raceDetector is true if the race detector takes time and memory.
const raceDetector = true
