package pipeline

import (
	"regexp"
	"strings"
)

// reference matches #{namespace.key} anywhere in a value (S-271, S-279).
var reference = regexp.MustCompile(`#\{([^{}]*)\}`)

// Reference is a variable reference found in a configuration value.
type Reference struct {
	// Text is what stands between the braces.
	Text string
	// Namespace and Key are its two parts; OK is false if Text is not namespace.key.
	Namespace, Key string
	OK             bool
}

var referenceParts = regexp.MustCompile(`^([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_^\[\]*$]+)$`)

// References lists the variable references of a value in order (S-271).
func References(value string) []Reference {
	var out []Reference
	for _, m := range reference.FindAllStringSubmatch(value, -1) {
		out = append(out, parse(m[1]))
	}
	return out
}

func parse(text string) Reference {
	if p := referenceParts.FindStringSubmatch(text); p != nil {
		return Reference{Text: text, Namespace: p[1], Key: p[2], OK: true}
	}
	return Reference{Text: text}
}

// MaxExpanded is the size from which Expand stops. It is far above what an action may have
// in all (S-80); it keeps a value of many references to large variables from filling memory.
const MaxExpanded = 1 << 20

// Expand replaces each reference of a value by what lookup gives for it; what it puts in is
// not looked at again. The first reference lookup does not know is returned with ok false,
// and the rest of the value is left out. So it is when the result passes MaxExpanded: the
// caller, which knows the limit of an action, finds a result that is too large (S-37).
func Expand(value string, lookup func(Reference) (string, bool)) (expanded string, missing Reference, ok bool) {
	var out strings.Builder
	rest := 0
	for _, at := range reference.FindAllStringSubmatchIndex(value, -1) {
		ref := parse(value[at[2]:at[3]])
		v, found := "", false
		if ref.OK {
			v, found = lookup(ref)
		}
		if !found {
			return out.String(), ref, false
		}
		out.WriteString(value[rest:at[0]])
		out.WriteString(v)
		if rest = at[1]; out.Len() > MaxExpanded {
			return out.String(), Reference{}, true
		}
	}
	out.WriteString(value[rest:])
	return out.String(), Reference{}, true
}
