package pipeline

import "regexp"

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

// Expand replaces each reference of a value by what lookup gives for it. The first
// reference lookup does not know is returned with ok false.
func Expand(value string, lookup func(Reference) (string, bool)) (expanded string, missing Reference, ok bool) {
	ok = true
	expanded = reference.ReplaceAllStringFunc(value, func(s string) string {
		ref := parse(s[2 : len(s)-1])
		v, found := "", false
		if ref.OK {
			v, found = lookup(ref)
		}
		if !found && ok {
			missing, ok = ref, false
		}
		return v
	})
	return expanded, missing, ok
}
