package store

import (
	"fmt"
	"log/slog"
)

// Secret is a text that must not be printed: every way of formatting, logging or encoding
// it gives three stars. A conversion to string reveals it.
type Secret string

const stars = "***"

// String hides the secret.
func (Secret) String() string { return stars }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return stars }

// Format hides the secret from every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(stars)) }

// LogValue hides the secret from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(stars) }

// MarshalText hides the secret from JSON and every encoding that uses text.
func (Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }
