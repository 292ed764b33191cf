package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	api "penstock/internal/api/events"
	"penstock/internal/fault"
)

const (
	// maxPaths is how many values a transformer may take out of an event.
	maxPaths = 100
	// maxTemplate bounds a template, maxInput what a target gets.
	maxTemplate = 8192
	maxInput    = 256 << 10
)

// Variables that every template may use.
const (
	varRuleARN  = "aws.events.rule-arn"
	varRuleName = "aws.events.rule-name"
	varTime     = "aws.events.event.ingestion-time"
	varEvent    = "aws.events.event"
	varJSON     = "aws.events.event.json"
)

var (
	given    = []string{varRuleARN, varRuleName, varTime, varEvent, varJSON}
	variable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^<([A-Za-z0-9_.-]{1,256})>`) })
)

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// checkInput says what is wrong with what a target is to get.
func checkInput(t *api.Target) error {
	ways := 0
	for _, set := range []bool{t.Input != "", t.InputPath != "", t.InputTransformer != nil} {
		if set {
			ways++
		}
	}
	wrong := func(format string, args ...any) error {
		return fault.New("ValidationException", format+" for target %s.", append(args, t.Id)...)
	}
	switch {
	case ways > 1:
		return wrong("Only one of Input, InputPath, or InputTransformer must be provided")
	case t.Input != "" && !json.Valid([]byte(t.Input)):
		return wrong("JSON syntax error in input")
	case t.InputPath != "":
		if _, ok := parsePath(t.InputPath); !ok {
			return wrong("Invalid InputPath %q", t.InputPath)
		}
	case t.InputTransformer != nil:
		x := t.InputTransformer
		if len(x.InputPathsMap) > maxPaths || len(x.InputTemplate) > maxTemplate {
			return wrong("An InputTransformer has at most %d paths and a template of at most %d characters", maxPaths, maxTemplate)
		}
		known := map[string]any{}
		for _, key := range sortedKeys(x.InputPathsMap) {
			if strings.HasPrefix(strings.ToLower(key), "aws.") || !variable().MatchString("<"+key+">") {
				return wrong("Invalid InputPathsMap key %q", key)
			}
			if _, ok := parsePath(x.InputPathsMap[key]); !ok {
				return wrong("Invalid InputPathsMap path %q", x.InputPathsMap[key])
			}
			known[key] = nil
		}
		for _, key := range given {
			known[key] = nil
		}
		// It must do with any value. A list cannot be the key of an object, and a number must not
		// run into another.
		for _, v := range []any{[]any{}, json.Number("1.5e1")} {
			for key := range known {
				known[key] = v
			}
			text, err := fill(x.InputTemplate, known)
			if err != nil {
				return wrong("Invalid InputTemplate: %v", err)
			}
			if err := valuesOf(text); err != nil {
				return wrong("Invalid InputTemplate: it is neither JSON nor strings in quotes, with <variables> as values")
			}
		}
	}
	return nil
}

// valuesOf says whether a text is JSON values one after the other: an object, or strings in
// quotes on their lines.
func valuesOf(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	for n := 0; ; n++ {
		var v json.RawMessage
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case err != nil:
			return err
		}
	}
}

// occurrence is an event on its way to a rule's targets.
type occurrence struct {
	text    []byte // the whole event
	decoded any    // the same, by pattern.Decode
	time    string // when it came in
}

// input makes what a target gets of an event.
func input(t *api.Target, o *occurrence, ruleARN, ruleName string) (string, error) {
	text := string(o.text)
	switch {
	case t.Input != "":
		text = t.Input
	case t.InputPath != "":
		p, _ := parsePath(t.InputPath) // checked when it was put
		v, _ := p.find(o.decoded)
		text = string(encode(v))
	case t.InputTransformer != nil:
		event, _ := o.decoded.(map[string]any)
		short := maps.Clone(event)
		delete(short, "detail")
		values := map[string]any{
			varRuleARN: ruleARN, varRuleName: ruleName, varTime: o.time, varEvent: short, varJSON: event,
		}
		for key, at := range t.InputTransformer.InputPathsMap {
			p, _ := parsePath(at)
			values[key], _ = p.find(o.decoded)
		}
		var err error
		if text, err = fill(t.InputTransformer.InputTemplate, values); err != nil {
			return "", err
		}
	}
	if len(text) > maxInput {
		return "", errors.New("what the target would get is larger than 256 KiB")
	}
	return text, nil
}

// fill puts values in the place of a template's <variables>: within quotes as text, elsewhere
// as JSON. What is not in the event is null, and nothing within quotes.
func fill(template string, values map[string]any) (string, error) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(template); i++ {
		c := template[i]
		switch {
		case c == '\\' && quoted && i+1 < len(template):
			b.WriteByte(c)
			i++
			c = template[i]
		case c == '"':
			quoted = !quoted
		case c == '<':
			m := variable().FindStringSubmatch(template[i:min(len(template), i+300)])
			if m == nil {
				break
			}
			v, ok := values[m[1]]
			if !ok {
				return "", errors.New("the variable <" + m[1] + "> has no path")
			}
			if quoted {
				b.WriteString(asText(v))
			} else {
				b.Write(encode(v))
			}
			if b.Len() > maxInput {
				return "", errors.New("what the target would get is larger than 256 KiB")
			}
			i += len(m[0]) - 1
			continue
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// asText writes a value for the inside of a JSON string.
func asText(v any) string {
	s, ok := v.(string)
	switch {
	case v == nil:
		return ""
	case !ok:
		s = string(encode(v))
	}
	q := encode(s)
	return string(q[1 : len(q)-1])
}

// encode writes JSON without the escapes that are for browsers.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("events: " + err.Error()) // plain JSON values and our own structures
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
