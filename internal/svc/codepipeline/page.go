package codepipeline

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"penstock/internal/fault"
)

// A page token holds a position in a list and a digest of what the list was asked for, so
// that a token of another operation, pipeline or filter is refused (W-26). It is opaque to
// clients and gives them nothing they could not ask for.
type page[P any] struct {
	Scope string `json:"s"`
	At    P      `json:"p"`
}

func scope(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// nextToken writes the token of the page after position at.
func nextToken[P any](at P, parts ...string) string {
	text, err := json.Marshal(page[P]{scope(parts...), at})
	if err != nil {
		panic("codepipeline: a page position has no JSON form: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// position reads a token; the empty token is the first page.
func position[P any](token string, parts ...string) (P, error) {
	var p page[P]
	if token == "" {
		return p.At, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || p.Scope != scope(parts...) {
		return p.At, fault.New("InvalidNextTokenException", "The next token is not one that this operation gave for the same request")
	}
	return p.At, nil
}
