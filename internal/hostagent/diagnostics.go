package hostagent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error codes of diagnostics (D.1).
const (
	codeSuccess            = 0
	codeScriptMissing      = 1
	codeNotExecutable      = 2
	codeTimedOut           = 3
	codeScriptFailed       = 4
	codeUnknown            = 5
	codeOutputsLeftOpen    = 6
	codeFailedAfterRestart = 7
)

const (
	// maxLog is how many characters of the end of the log are told.
	maxLog = 2048
	// maxPayload is what the server takes. Half of it is for the log, where nothing has to
	// be escaped.
	maxPayload = 8192
)

// scriptError is the failure of a script.
type scriptError struct {
	code            int
	script, message string
}

func (e *scriptError) Error() string { return e.message }

// sentence is a failure in the words of AWS's agent, which are whole sentences.
func sentence(format string, args ...any) error { return fmt.Errorf(format, args...) }

// diagnostics writes what the server is told about the end of a command. The log is cut to
// its end, and further where escapes would make the whole longer than the server takes.
func diagnostics(code int, script, message, log string) string {
	if len(message) > 1000 {
		message = message[:1000] + "…"
	}
	if len(script) > 200 {
		script = script[:200] + "…"
	}
	for most := maxLog; ; most /= 2 {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		// A struct of texts and a number can always be written.
		_ = e.Encode(struct {
			Code    int    `json:"error_code"`
			Script  string `json:"script_name"`
			Message string `json:"message"`
			Log     string `json:"log"`
		}{code, strings.ToValidUTF8(script, ""), strings.ToValidUTF8(message, ""), end(log, most)})
		if text := strings.TrimSpace(b.String()); len(text) <= maxPayload || most == 0 {
			return text
		}
	}
}

// end gives the last characters of a text.
func end(s string, characters int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	i := len(s)
	for ; i > 0 && characters > 0; characters-- {
		_, size := utf8.DecodeLastRuneInString(s[:i])
		i -= size
	}
	return s[i:]
}

// tail keeps the end of a log.
type tail struct{ text []byte }

func (t *tail) add(s string) {
	const enough = 4 * maxLog // bytes
	if t.text = append(t.text, s...); len(t.text) > 16*enough {
		t.text = append(t.text[:0], t.text[len(t.text)-enough:]...)
	}
}
