package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"

	"penstock/internal/fault"
)

// explain words an error for people, in one line: what a service refused in the service's own
// words, without the SDK's history around it.
func explain(err error) string {
	var api smithy.APIError
	var f *fault.Error
	var request *url.Error
	var network *net.OpError
	text := err.Error()
	switch {
	case errors.As(err, &api):
		text = api.ErrorCode()
		if m := api.ErrorMessage(); m != "" {
			text += ": " + m
		}
	case errors.As(err, &f):
		text = f.Error()
	case errors.Is(err, context.DeadlineExceeded):
		text = "the server did not answer in time"
	case errors.As(err, &request) && errors.As(err, &network): // and not a database or a port
		text = "the server cannot be reached: " + network.Error()
	}
	return strings.Join(strings.Fields(text), " ")
}
