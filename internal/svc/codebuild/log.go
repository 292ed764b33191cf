package codebuild

import (
	"fmt"
	"time"

	"penstock/internal/logstream"
)

// buildLog is the log of one build.
type buildLog struct{ *logstream.Writer }

// printf writes a line of the agent's own.
func (l buildLog) printf(format string, args ...any) {
	l.Line("[Container] " + time.Now().UTC().Format("2006/01/02 15:04:05.000000") + " " + fmt.Sprintf(format, args...))
}
