// Package artifact packs and unpacks the ZIP archives that travel between actions.
//
// An archive comes from somebody else's build or bucket, so Unpack believes nothing in it:
// every refusal names the entry, nothing is ever written outside of the target, and a
// refused archive leaves nothing behind. Pack is deterministic: the same files make the
// same bytes, so an unchanged artifact has an unchanged checksum.
package artifact

import (
	"fmt"
)

// Limits bound what an archive may become.
type Limits struct {
	// Entries is the most files, folders and links, and also the most folders, whether they
	// have entries or only stand in the names of others. It bounds what names and the targets
	// of links take together too, as these are kept in memory.
	Entries int
	// Bytes is the most bytes of all files together.
	Bytes int64
	// Ratio is the most bytes a file of more than a megabyte may have for each packed one.
	Ratio int64
}

// names is how many bytes the names of all entries may have.
func (l Limits) names() int { return 1<<20 + l.Entries<<8 }

// DefaultLimits are generous for honest builds: AWS allows artifacts of 5 GB.
var DefaultLimits = Limits{Entries: 500_000, Bytes: 20 << 30, Ratio: 1000}

// EntryError is the refusal of an archive because of one entry.
type EntryError struct {
	// Name is the entry's name as the archive has it.
	Name string
	// Reason says what is wrong with it.
	Reason string
}

// Error names the entry.
func (e *EntryError) Error() string {
	name := e.Name
	if len(name) > 200 {
		name = name[:200] + "…"
	}
	return fmt.Sprintf("archive entry %q %s", name, e.Reason)
}

func refuse(name, format string, args ...any) error {
	return &EntryError{Name: name, Reason: fmt.Sprintf(format, args...)}
}
