// Package policy reads IAM policy documents and decides what they say about one request.
//
// The package is pure. A document answers Allow, Deny or NoMatch; who asks, and what follows
// from several documents together, is the caller's business, except that Evaluate joins
// documents by IAM's rule that an explicit deny wins.
//
// Documents come from users and may be hostile: their size is limited, wildcards match in
// time linear in the text, and what is not understood (an unknown operator, a value that
// cannot be read) never helps an Allow and never weakens a Deny.
package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxSize is the most bytes of a document that Parse reads. The services' own limits are
// lower and are theirs to enforce.
const MaxSize = 128 << 10

// Kind is what a document is for.
type Kind int

// The kinds of document.
const (
	// Identity documents say what a principal may do; sessions' policies are of this kind.
	Identity Kind = iota + 1
	// Trust documents say who may assume a role.
	Trust
	// Resource documents belong to a resource and say who may do what to it.
	Resource
)

// Document is a parsed policy. It is immutable and may be used by many goroutines.
type Document struct {
	statements []statement
}

type statement struct {
	deny         bool
	actions      []pattern
	notAction    bool
	resources    []pattern
	notResource  bool
	anyResource  bool // trust documents have no resource
	principals   *principals
	conditions   []condition
	hasVariables bool // the version of the document knows policy variables
}

type principals struct {
	any               bool
	aws, svc, federal []string
}

// list is a JSON string or a list of strings; booleans and numbers stand for their text.
type list []string

func (l *list) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '[' {
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return err
		}
		*l = make(list, 0, len(items))
		for _, it := range items {
			s, err := scalar(it)
			if err != nil {
				return err
			}
			*l = append(*l, s)
		}
		return nil
	}
	s, err := scalar(raw)
	if err != nil {
		return err
	}
	*l = list{s}
	return nil
}

func scalar(raw json.RawMessage) (string, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "", errSyntax
	}
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", err
		}
		if strings.ContainsAny(s, "\x00\x01") {
			return "", errSyntax
		}
		return s, nil
	case '{', '[', 'n':
		return "", errSyntax
	}
	return string(raw), nil // true, false or a number, already valid JSON
}

type wireStatement struct {
	Sid          string
	Effect       string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Action       list
	NotAction    list
	Resource     list
	NotResource  list
	Condition    map[string]map[string]list
}

// Malformed is why a document cannot be used, in IAM's words.
type Malformed string

// Error gives the text, which users see as it is.
func (m Malformed) Error() string { return string(m) }

func malformed(format string, args ...any) error { return Malformed(fmt.Sprintf(format, args...)) }

const errSyntax = Malformed("Syntax errors in policy.")

// Parse reads a document of a kind. An error is Malformed.
func Parse(text string, kind Kind) (*Document, error) {
	if len(text) > MaxSize {
		return nil, malformed("The policy document is longer than %d bytes.", MaxSize)
	}
	var wire struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if err := strict(text, &wire); err != nil {
		return nil, errSyntax
	}
	if wire.Version != "" && wire.Version != "2012-10-17" && wire.Version != "2008-10-17" {
		return nil, Malformed("Policy document must be version 2012-10-17 or greater.")
	}
	if repeats(text) {
		return nil, errSyntax
	}
	raw := strings.TrimSpace(string(wire.Statement))
	if !strings.HasPrefix(raw, "[") {
		raw = "[" + raw + "]"
	}
	var statements []wireStatement
	if err := strict(raw, &statements); err != nil || len(statements) == 0 {
		return nil, errSyntax
	}
	d := &Document{}
	sids := make(map[string]bool)
	for _, ws := range statements {
		if ws.Sid != "" && sids[ws.Sid] {
			return nil, Malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[ws.Sid] = true
		st, err := ws.compile(kind, wire.Version == "2012-10-17")
		if err != nil {
			return nil, err
		}
		d.statements = append(d.statements, st)
	}
	return d, nil
}

// strict decodes exactly one JSON value without unknown members.
func strict(text string, v any) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errSyntax
	}
	return nil
}

// repeats says whether an object of a JSON text has a member twice, in whatever case: the second
// would silently undo the first, such as one condition another.
func repeats(text string) bool {
	dec := json.NewDecoder(strings.NewReader(text))
	var open []map[string]bool // nil for an array
	name := false              // a string that comes next is the name of a member
	for {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, map[string]bool{})
		case json.Delim('['):
			open = append(open, nil)
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if name {
				key := strings.ToLower(strings.ToUpper(token.(string)))
				members := open[len(open)-1]
				if members[key] {
					return true
				}
				members[key], name = true, false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

func (ws *wireStatement) compile(kind Kind, variables bool) (statement, error) {
	st := statement{hasVariables: variables}
	switch ws.Effect {
	case "Allow":
	case "Deny":
		st.deny = true
	default:
		return st, errSyntax
	}
	acts := ws.Action
	if ws.NotAction != nil {
		if acts != nil {
			return st, errSyntax
		}
		acts, st.notAction = ws.NotAction, true
	}
	if len(acts) == 0 {
		return st, Malformed("Policy statement must contain actions.")
	}
	for _, a := range acts {
		if a != "*" && !strings.Contains(a, ":") {
			return st, Malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		}
		st.actions = append(st.actions, compilePattern(strings.ToLower(a), false))
	}
	if err := ws.compileTarget(kind, &st); err != nil {
		return st, err
	}
	for op, keys := range ws.Condition {
		for key, values := range keys {
			st.conditions = append(st.conditions, compileCondition(op, key, values))
		}
	}
	return st, nil
}

// compileTarget reads what only one kind of document may have: resources or principals.
func (ws *wireStatement) compileTarget(kind Kind, st *statement) error {
	if kind == Trust {
		if ws.Resource != nil || ws.NotResource != nil {
			return Malformed("Has prohibited field Resource")
		}
		if ws.NotPrincipal != nil {
			return Malformed("Has prohibited field NotPrincipal")
		}
		if ws.Principal == nil {
			return Malformed("Missing required field Principal")
		}
		st.anyResource = true
		p, err := parsePrincipals(ws.Principal)
		st.principals = p
		return err
	}
	if kind == Resource {
		if ws.NotPrincipal != nil {
			return Malformed("Has prohibited field NotPrincipal")
		}
		if ws.Principal == nil {
			return Malformed("Missing required field Principal")
		}
		p, err := parsePrincipals(ws.Principal)
		if err != nil {
			return err
		}
		st.principals = p
	} else if ws.Principal != nil || ws.NotPrincipal != nil {
		return Malformed("Policy document should not specify a principal.")
	}
	res := ws.Resource
	if ws.NotResource != nil {
		if res != nil {
			return errSyntax
		}
		res, st.notResource = ws.NotResource, true
	}
	if len(res) == 0 {
		return Malformed("Policy statement must contain resources.")
	}
	for _, r := range res {
		if !strings.HasPrefix(r, "arn:") && !strings.HasPrefix(r, "*") {
			return malformed("Resource %s must be in ARN format or \"*\".", r)
		}
		st.resources = append(st.resources, compilePattern(r, st.hasVariables))
	}
	return nil
}

func parsePrincipals(raw json.RawMessage) (*principals, error) {
	p := &principals{}
	if string(bytes.TrimSpace(raw)) == `"*"` {
		p.any = true
		return p, nil
	}
	var wire struct {
		AWS, Service, Federated list
	}
	if err := strict(string(raw), &wire); err != nil {
		return nil, errSyntax
	}
	if len(wire.AWS)+len(wire.Service)+len(wire.Federated) == 0 {
		return nil, Malformed("Missing required field Principal")
	}
	for _, a := range wire.AWS {
		if a == "*" {
			p.any = true
			continue
		}
		if !isAccount(a) && !strings.HasPrefix(a, "arn:") {
			return nil, malformed("Invalid principal in policy: \"AWS\":\"%s\"", a)
		}
		p.aws = append(p.aws, a)
	}
	for _, s := range wire.Service {
		if !strings.Contains(s, ".") || strings.ContainsAny(s, "*? ") {
			return nil, malformed("Invalid principal in policy: \"SERVICE\":\"%s\"", s)
		}
		p.svc = append(p.svc, s)
	}
	p.federal = wire.Federated
	return p, nil
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}
