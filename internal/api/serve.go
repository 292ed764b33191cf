package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"sync/atomic"
)

// ServeJSON answers one request of a JSON service: it decodes and checks body, calls the
// room and appends the encoded answer to dst. A body of no bytes is {} (W-2). The error
// is a *fault.Error meant for the caller, or internal. body is not kept.
func (s *Service) ServeJSON(ctx context.Context, op *Operation, body, dst []byte) ([]byte, error) {
	in := reflect.New(op.inType.Elem())
	if op.in >= 0 {
		if len(body) == 0 {
			body = []byte("{}")
		}
		if err := s.Shapes.unmarshal(body, s.planOf(&op.inPlan, op.in, op.inType), in.Elem(), s.ValidationCode); err != nil {
			return dst, err
		}
	}
	out, err := s.answer(ctx, op, in)
	if err != nil {
		return dst, err
	}
	if op.out < 0 {
		return dst, nil // an empty body, W-12
	}
	return appendStructure(dst, s.planOf(&op.outPlan, op.out, op.outType), out), nil
}

// Perform answers a call of this server's own part, made for the caller of the context: input are
// the members of the operation's input as JSON, wherever a request would have them. They are not
// held to the model's constraints.
func (s *Service) Perform(ctx context.Context, operation string, input []byte) error {
	op := s.Operations[operation]
	if op == nil {
		return fmt.Errorf("%s has no operation %s", s.Name, operation)
	}
	in := reflect.New(op.inType.Elem())
	if err := json.Unmarshal(input, in.Interface()); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	_, err := s.answer(ctx, op, in)
	return err
}

// ServeQuery is ServeJSON for a query service: form in, the XML envelope with the
// request id out.
func (s *Service) ServeQuery(ctx context.Context, op *Operation, form url.Values, requestID string, dst []byte) ([]byte, error) {
	in := reflect.New(op.inType.Elem())
	if op.in >= 0 {
		if err := s.Shapes.unmarshalForm(form, s.planOf(&op.inPlan, op.in, op.inType), in.Elem(), s.ValidationCode); err != nil {
			return dst, err
		}
	}
	out, err := s.answer(ctx, op, in)
	if err != nil {
		return dst, err
	}
	dst = append(dst, '<')
	dst = append(dst, op.Name...)
	dst = append(dst, `Response xmlns="`...)
	dst = AppendXMLText(dst, s.Namespace)
	dst = append(dst, `">`...)
	if op.out >= 0 {
		dst = appendTag(dst, "<", op.Name+"Result")
		dst = appendXMLMembers(dst, s.planOf(&op.outPlan, op.out, op.outType), out)
		dst = appendTag(dst, "</", op.Name+"Result")
	}
	dst = append(dst, "<ResponseMetadata><RequestId>"...)
	dst = AppendXMLText(dst, requestID)
	dst = append(dst, "</RequestId></ResponseMetadata>"...)
	return appendTag(dst, "</", op.Name+"Response"), nil
}

// answer calls the room, through what is around it.
func (s *Service) answer(ctx context.Context, op *Operation, in reflect.Value) (reflect.Value, error) {
	if s.Around == nil {
		return op.answer(ctx, in)
	}
	c := &Call{Service: s, Operation: op, in: in}
	err := s.Around(ctx, c, func(ctx context.Context) (err error) {
		c.out, err = op.answer(ctx, in)
		return err
	})
	return c.out, err
}

// answer calls the room. A room that gives neither an output nor an error has a mistake,
// which must not become a crash of the encoder.
func (op *Operation) answer(ctx context.Context, in reflect.Value) (reflect.Value, error) {
	out, err := op.call(ctx, in.Interface())
	if err != nil {
		return reflect.Value{}, err
	}
	v := reflect.ValueOf(out)
	if v.IsNil() {
		if op.out >= 0 {
			return reflect.Value{}, fmt.Errorf("%s: the room gave no output", op.Name)
		}
		return reflect.Value{}, nil
	}
	return v.Elem(), nil
}

// planOf gives the plan kept in slot, making it on first use: requests take no lock.
func (s *Service) planOf(slot *atomic.Pointer[plan], shape int, typ reflect.Type) *plan {
	p := slot.Load()
	if p == nil {
		p = s.Shapes.plan(shape, typ)
		slot.Store(p)
	}
	return p
}

// Spelling gives the wire code and the HTTP status of an error class that this service's
// model has, under either of its names.
func (s *Service) Spelling(code string) (string, int, bool) {
	if e := s.class(code); e != nil {
		return cmp.Or(e.Code, e.Class), e.Status, true
	}
	return "", 0, false
}

// Class gives the class of an error under either of its names; code itself if the model does
// not have it.
func (s *Service) Class(code string) string {
	if e := s.class(code); e != nil {
		return e.Class
	}
	return code
}

func (s *Service) class(code string) *ErrorClass {
	for i := range s.Errors {
		if e := &s.Errors[i]; e.Class == code || e.Code == code {
			return e
		}
	}
	return nil
}
