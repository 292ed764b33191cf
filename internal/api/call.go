package api

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"regexp"
	"time"
)

// Call is a request that is decoded and the answer to it, as they see it who keep a record of
// what is done. It is used by one goroutine at a time.
type Call struct {
	Service   *Service
	Operation *Operation
	in, out   reflect.Value
}

// Hidden stands for a secret in what Request and Response give.
const Hidden = "***"

// Request gives the input with the members' names of the model, for encoding/json; nil for
// none. Secrets are hidden (W-41): what the model says is sensitive, members and settings that
// are called like one, and all settings of actions that are not AWS's own, because only their
// maker knows which are secret. Of bytes there is the size and the SHA-256.
func (c *Call) Request() map[string]any {
	if c.Operation.in < 0 {
		return nil
	}
	return shown(c.Service.planOf(&c.Operation.inPlan, c.Operation.in, c.Operation.inType), c.in)
}

// Response is Request for the output, nil before there is one.
func (c *Call) Response() map[string]any {
	if c.Operation.out < 0 || !c.out.IsValid() {
		return nil
	}
	return shown(c.Service.planOf(&c.Operation.outPlan, c.Operation.out, c.Operation.outType), c.out)
}

func shown(p *plan, v reflect.Value) map[string]any {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if m := showStructure(p, v); len(m) > 0 {
		return m
	}
	return nil
}

// secretName recognises members and settings whose values are secrets.
var secretName = regexp.MustCompile(`(?i)token$|secret|passwo?r?d|passphrase|privatekey|api_?key`)

func show(p *plan, v reflect.Value) any {
	if p.pointer {
		v = v.Elem()
	}
	if p.Sensitive {
		return Hidden
	}
	switch p.Kind {
	case Blob:
		return fmt.Sprintf("%d bytes, SHA-256 %x", v.Len(), sha256.Sum256(v.Bytes()))
	case Timestamp:
		t, _ := v.Interface().(time.Time)
		return t.UTC().Format(time.RFC3339)
	case List:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = show(p.elem, v.Index(i))
		}
		return list
	case Map:
		m := make(map[string]any, v.Len())
		for key, e := range v.Seq2() {
			if m[key.String()] = show(p.elem, e); p.elem.Kind == String && secretName.MatchString(key.String()) {
				m[key.String()] = Hidden
			}
		}
		return m
	case Structure:
		return showStructure(p, v)
	case Double:
		return v.Float()
	}
	return v.Interface()
}

func showStructure(p *plan, v reflect.Value) map[string]any {
	m := make(map[string]any, len(p.fields))
	for i := range p.fields {
		f, fv := &p.fields[i], v.Field(i)
		if f.absent(fv) {
			continue
		}
		if f.Kind == String && secretName.MatchString(f.name) {
			m[f.name] = Hidden
			continue
		}
		m[f.name] = show(f.plan, fv)
	}
	hide(m)
	return m
}

// hide hides what only the members beside it show to be secret: the value of an environment
// variable by its name, and the settings of an action by its type's owner.
func hide(m map[string]any) {
	if name, _ := m["name"].(string); m["value"] != nil && secretName.MatchString(name) {
		m["value"] = Hidden
	}
	id, _ := m["actionTypeId"].(map[string]any)
	settings, _ := m["configuration"].(map[string]any)
	if id == nil || settings == nil || id["owner"] == "AWS" {
		return
	}
	for key := range settings {
		settings[key] = Hidden
	}
}
