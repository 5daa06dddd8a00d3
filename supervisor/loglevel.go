package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// LogLevel is the answer to /v1/log-level.
type LogLevel struct {
	// Level is the lowest level that is logged: debug, info, warn or error.
	Level string `json:"level"`
}

var (
	errNoLevel    = errors.New("write the level debug, info, warn or error")
	errFixedLevel = errors.New("the level of this supervisor's log cannot be changed")
)

// LogLevel returns the lowest level that is logged.
func (s *Supervisor) LogLevel() (LogLevel, error) {
	if s.opt.LogLevel == nil {
		return LogLevel{}, errFixedLevel
	}
	return LogLevel{strings.ToLower(s.opt.LogLevel.Level().String())}, nil
}

// SetLogLevel changes the lowest level that is logged, until the supervisor ends.
func (s *Supervisor) SetLogLevel(ctx context.Context, name string) (LogLevel, error) {
	var level slog.Level
	switch name {
	case "debug", "info", "warn", "error":
		_ = level.UnmarshalText([]byte(name)) // UnmarshalText knows all these names
	default:
		return LogLevel{}, fmt.Errorf("there is no level %q; %w", name, errNoLevel)
	}
	if s.opt.LogLevel == nil {
		return LogLevel{}, errFixedLevel
	}
	before := s.opt.LogLevel.Level()
	s.opt.LogLevel.Set(level)
	s.log.Log(ctx, max(slog.LevelWarn, level), "the level of the log has changed", "old", before, "new", level)
	return s.LogLevel()
}
