// Package api is what every AWS-shaped service has in common between the wire and its
// room: tables of shapes, the JSON and query codecs, and the checks of a model's
// constraints in AWS's words.
//
// The services themselves are generated packages below this one.
package api

import (
	"context"
	"reflect"
	"sync/atomic"

	"penstock/internal/fault"
)

// Protocol is how a service speaks.
type Protocol uint8

// The protocols: JSON with a target header in two versions that differ in their content
// type only, form in with XML out, JSON with the operation in method and path, and CBOR with
// the operation in the path. A service of the last also speaks JSON10 and Query.
const (
	JSON10 Protocol = iota + 1
	JSON11
	Query
	RESTJSON
	RPCCBOR
)

// Service is one service as the door sees it: a name, how to recognise its requests,
// and its operations. It does not change after New.
type Service struct {
	// Name is the package name, such as "codepipeline"; ID is AWS's service id.
	Name, ID string
	// Version is the API version, which query requests carry.
	Version  string
	Protocol Protocol
	// Target is the last dotted component of the X-Amz-Target prefix.
	Target string
	// Scope is the service name in the credential scope.
	Scope string
	// Namespace is the XML namespace of answers in the query protocol.
	Namespace string
	// ValidationCode is the class of constraint violations if it is not
	// ValidationException.
	ValidationCode string
	// MaxBody is the largest request body in bytes; 0 is the door's default.
	MaxBody    int64
	Shapes     *Table
	Errors     []ErrorClass
	Operations map[string]*Operation
	// Around, if it is set before the first request, is called in place of every operation
	// whose input has been decoded; it calls answer once at most, and what it gives back is
	// the caller's answer.
	Around func(ctx context.Context, c *Call, answer func(context.Context) error) error
}

// SpeaksQuery says whether the service answers forms.
func (s *Service) SpeaksQuery() bool { return s.Protocol == Query || s.Protocol == RPCCBOR }

// ErrorClass is one modelled exception. Code is its spelling on the wire where that
// differs from the class (query protocol, and the header for clients that came from it). Message is the member with the text if it is not
// called message, and Typed tells that there is a member Type (rest-json).
type ErrorClass struct {
	Class, Code string
	Status      int
	Message     string
	Typed       bool
}

// Operation is one operation bound to the room that answers it.
type Operation struct {
	// Name is the operation as AWS spells it.
	Name string
	// in and out are places in the table, -1 for none.
	in, out         int
	inType, outType reflect.Type
	call            func(ctx context.Context, in any) (any, error)
	inPlan, outPlan atomic.Pointer[plan]
	// MaxBody is the largest request body in bytes; 0 is that of the service.
	MaxBody int64
	// place is where a rest-json operation is.
	place template
}

// UpTo sets MaxBody; generated code calls it.
func (o *Operation) UpTo(maxBody int64) *Operation {
	o.MaxBody = maxBody
	return o
}

// NewOperation binds a method of a room; generated code calls it. I and O are pointers
// to structures; in and out are their shapes, -1 where the model has none.
func NewOperation[I, O any](name string, in, out int, f func(context.Context, I) (O, error)) *Operation {
	return &Operation{
		Name: name, in: in, out: out, inType: reflect.TypeFor[I](), outType: reflect.TypeFor[O](),
		call: func(ctx context.Context, in any) (any, error) { return f(ctx, in.(I)) },
	}
}

// Operations indexes operations by name.
func Operations(all ...*Operation) map[string]*Operation {
	m := make(map[string]*Operation, len(all))
	for _, o := range all {
		m[o.Name] = o
	}
	return m
}

// Unsupported is the refusal of an operation that this server does not offer (N-18).
func Unsupported(service, operation string) error {
	return fault.New("UnknownOperationException", "%s of %s is not offered by this penstock server", operation, service)
}
