// Package artifact packs and unpacks the ZIP archives that travel between actions, and
// names them.
//
// An archive comes from somebody else's build or bucket, so Unpack believes nothing in it:
// every refusal names the entry, nothing is ever written outside of the target, and a
// refused archive leaves nothing behind. Pack is deterministic: the same files make the
// same bytes, so an unchanged artifact has an unchanged checksum.
package artifact

import (
	"crypto/sha256"
	"fmt"
	"math/big"
)

// Limits bound what an archive may become.
type Limits struct {
	// Entries is the most files, folders and links.
	Entries int
	// Bytes is the most bytes of all files together.
	Bytes int64
	// Ratio is the most bytes a file of more than a megabyte may have for each packed one.
	Ratio int64
}

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

const keyAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Key names the object of an artifact: the first 20 characters of the pipeline's name, the
// first 10 of the artifact's, and 7 alphanumerics made from seed, which is unique to the
// action execution and artifact. The same arguments give the same key. (S-287)
func Key(pipeline, artifact, seed string) string {
	sum := sha256.Sum256([]byte(pipeline + "\x00" + artifact + "\x00" + seed))
	n, base, rest := new(big.Int).SetBytes(sum[:]), big.NewInt(int64(len(keyAlphabet))), new(big.Int)
	tail := make([]byte, 7)
	for i := range tail {
		n.DivMod(n, base, rest)
		tail[i] = keyAlphabet[rest.Int64()]
	}
	return cut(pipeline, 20) + "/" + cut(artifact, 10) + "/" + string(tail)
}

func cut(s string, n int) string { return s[:min(len(s), n)] }
