// Package fault is the one error type that carries an AWS error code.
//
// A fault is created where the rule lives that was broken, spelled as AWS spells it, and
// travels untouched to the door, which writes it in the caller's protocol. Every other
// error is internal: logged, and answered as an internal failure with the request id.
package fault

import (
	"errors"
	"fmt"
)

// Error is a refusal the caller is meant to read.
type Error struct {
	// Code is the error class as AWS spells it, such as PipelineNotFoundException.
	Code string
	// Message is the text shown to the caller; it names the field, the value and the mend.
	Message string
}

// New makes a fault with a formatted message.
func New(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error gives "Code: Message".
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// ErrFull is in the chain of an internal error when nothing more can be stored, because a disk
// is full or the database is read-only. The door answers it with 503 and [FullText]: the call
// changed nothing and can be made again later.
var ErrFull = errors.New("nothing can be stored")

// FullText is what a caller is told of an [ErrFull].
const FullText = "The server cannot store anything at the moment: its disk is full, or its database is read-only. " +
	"Nothing was changed. What is stored can be read; make the call again when there is space."

// ErrText is in the chain of an internal error when a request holds a text that no database can
// keep or compare: with a NUL, not in UTF-8, or too long for a key. The door answers it as a request
// that is not valid.
var ErrText = errors.New("text with a NUL, not in UTF-8 or too long for a key")

// Code gives the code of the fault in err's chain, or "" if there is none.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
