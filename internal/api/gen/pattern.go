package main

import (
	"fmt"
	"regexp"
	"strings"
)

// rewritten lists the patterns that RE2 cannot express as they stand, with an equivalent
// that it can. A new model with another such pattern stops the generator.
var rewritten = map[string]string{
	// No two hyphens in a row. The lengths 3 to 63 are the shape's own min and max.
	`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`: `[a-z0-9](?:-?[a-z0-9])+`,
	// Not of digits alone.
	`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`: `[a-zA-Z0-9_-]*[a-zA-Z_-][a-zA-Z0-9_-]*`,
	`((?!^\d+$)^[0-9a-zA-Z-_]+$)`:  `[a-zA-Z0-9_-]*[a-zA-Z_-][a-zA-Z0-9_-]*`,
	// Not beginning with "system.".
	`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`: `[_a-rt-zA-Z0-9][^$]*|` +
		`s(?:|[^y$][^$]*|y(?:|[^s$][^$]*|s(?:|[^t$][^$]*|t(?:|[^e$][^$]*|e(?:|[^m$][^$]*|m(?:|[^.$][^$]*))))))`,
	// No dot at the end. That there is something is the shape's own min.
	`[0-9A-Za-z\.\-_]*(?<!\.)`: `[0-9A-Za-z._-]*[0-9A-Za-z_-]`,
	// Not of white space alone.
	`^(?!\s*$).+`: `.*\S.*`,
	// Surrogates, with the halves in the wrong places, for what lies beyond U+FFFF.
	`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*`: `[\x{0020}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}\t]*`,
}

// translate turns a model's pattern (Java's dialect) into RE2's. The result is meant to
// match the whole value.
func translate(pattern string) (string, error) {
	re, ok := rewritten[pattern]
	if !ok {
		var err error
		if re, err = unicodeEscapes(pattern); err != nil {
			return "", err
		}
	}
	if _, err := regexp.Compile("^(?:" + re + ")$"); err != nil {
		return "", fmt.Errorf("pattern %q: %w: add an equivalent to the list in gen/pattern.go", pattern, err)
	}
	return re, nil
}

// unicodeEscapes writes Java's \uXXXX as RE2's \x{XXXX}.
func unicodeEscapes(pattern string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '\\' || i+1 == len(pattern) {
			b.WriteByte(pattern[i])
			continue
		}
		if pattern[i+1] != 'u' {
			b.WriteString(pattern[i : i+2])
			i++
			continue
		}
		if i+6 > len(pattern) {
			return "", fmt.Errorf("pattern %q: short \\u escape", pattern)
		}
		fmt.Fprintf(&b, `\x{%s}`, pattern[i+2:i+6])
		i += 5
	}
	return b.String(), nil
}
