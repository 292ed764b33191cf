// Package secretsmanager is the Secrets Manager room (N-17): secrets with versions and stages,
// encrypted at rest with the server's master key.
package secretsmanager

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"regexp"
	"strings"
	"sync"
	"unicode"

	wire "penstock/internal/api/secretsmanager"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// The limits of the service.
const (
	maxSecrets    = 500_000 // of an account and Region
	maxStages     = 20      // of a secret
	maxDeprecated = 100     // versions of a secret that no stage is at
	maxValue      = 65_536  // bytes
	maxTags       = 50
)

// The stages that the service moves itself.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// Deps is what the room works with.
type Deps struct{ DB *store.DB }

// Room has the secrets. It is safe for concurrent use.
type Room struct {
	wire.Unimplemented
	deps Deps
}

var _ wire.Service = (*Room)(nil)

// New makes the room.
func New(deps Deps) *Room { return &Room{deps: deps} }

// doc is what a secret's row keeps beside its key and times.
type doc struct {
	Description string `json:"description,omitempty"`
	KmsKeyID    string `json:"kmsKeyId,omitempty"`
}

func readDoc(s store.StoredSecret) (d doc, err error) {
	return d, json.Unmarshal([]byte(s.Doc), &d)
}

func (d doc) text() (string, error) {
	text, err := json.Marshal(d)
	return string(text), err
}

func invalid(format string, args ...any) error {
	return fault.New("InvalidParameterException", format, args...)
}

func badState(format string, args ...any) error {
	return fault.New("InvalidRequestException", format, args...)
}

func notFound() error {
	return fault.New("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

var (
	nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]{1,512}$`) })
	// idForm is that of version ids and stages, which the callers choose.
	idForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[!-~]{1,256}$`) })
)

func arnPrefix(c auth.Caller) string {
	return arn.New("secretsmanager", c.Region, c.Account, "secret:")
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newARN names a new secret. The six characters at its end tell it from a later one of the
// same name, so that a policy for the one is none for the other.
func newARN(c auth.Caller, name string) string {
	b := []byte(arnPrefix(c) + name + "-")
	for range 6 {
		b = append(b, letters[below(len(letters))])
	}
	return string(b)
}

// find gives a secret of the caller by its name, its ARN, or its ARN without the six
// characters.
func find(ctx context.Context, c auth.Caller, id string, get func(ctx context.Context, account, region, id string) (store.StoredSecret, error)) (store.StoredSecret, error) {
	name, byARN := strings.CutPrefix(id, arnPrefix(c))
	if !nameForm().MatchString(name) {
		return store.StoredSecret{}, store.ErrNotFound
	}
	s, err := get(ctx, c.Account, c.Region, id)
	if byARN && errors.Is(err, store.ErrNotFound) {
		s, err = get(ctx, c.Account, c.Region, name)
	}
	return s, err
}

// open finds a secret and authorises an operation on it. Who may not know of a secret does not
// learn whether it is there.
func (r *Room) open(ctx context.Context, tx *store.Tx, operation, id string, get func(ctx context.Context, account, region, id string) (store.StoredSecret, error)) (store.StoredSecret, error) {
	c := auth.From(ctx)
	s, err := find(ctx, c, id, get)
	resource := s.ARN
	if errors.Is(err, store.ErrNotFound) {
		resource, err = id, notFound()
		if !strings.HasPrefix(id, "arn:") {
			resource = arnPrefix(c) + id
		}
	}
	if resource != "" {
		if denied := auth.Check(auth.Using(ctx, tx), "secretsmanager:"+operation, resource); denied != nil {
			return s, denied
		}
	}
	return s, err
}

// view runs f on a secret of the caller in a snapshot.
func (r *Room) view(ctx context.Context, operation, id string, f func(tx *store.Tx, s store.StoredSecret) error) error {
	return r.deps.DB.View(ctx, func(tx *store.Tx) error {
		s, err := r.open(ctx, tx, operation, id, tx.FindSecret)
		if err != nil {
			return err
		}
		return f(tx, s)
	})
}

// update runs f on a secret of the caller, which nobody else changes meanwhile.
func (r *Room) update(ctx context.Context, operation, id string, f func(tx *store.Tx, s store.StoredSecret) error) error {
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		s, err := r.open(ctx, tx, operation, id, tx.LockSecret)
		if err != nil {
			return err
		}
		return f(tx, s)
	})
}

// alive refuses a secret that somebody has deleted.
func alive(s store.StoredSecret) error {
	if !s.Deleted.IsZero() {
		return badState("You can't perform this operation on the secret because it was marked for deletion.")
	}
	return nil
}

// below gives a random number from 0 to n-1.
func below(n int) int {
	v, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // the reader does not fail
	}
	return int(v.Int64())
}

// A page begins behind the last key of the one before (W-26).
func pageToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte("s" + key)) }

func parsePageToken(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	key, ok := strings.CutPrefix(string(data), "s")
	if err != nil || !ok || !idForm().MatchString(key) && !nameForm().MatchString(key) {
		return "", fault.New("InvalidNextTokenException", "The NextToken value is invalid.")
	}
	return key, nil
}

// checkTags refuses tags that a secret cannot have.
func checkTags(tags []wire.Tag) error {
	if len(tags) > maxTags {
		return tooMany()
	}
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return invalid("The tag key %s is reserved: keys do not begin with aws:.", t.Key)
		case strings.ContainsFunc(t.Key+t.Value, unicode.IsControl):
			return invalid("The tag key %q or its value has control characters.", t.Key)
		case seen[t.Key]:
			return invalid("The tag key %s is there twice.", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

func tooMany() error {
	return fault.New("LimitExceededException", "A secret has at most %d tags.", maxTags)
}
