// Package iam is the room that answers IAM: the users, roles and policies that pipelines
// and those who work with them need (N-2). Documents are stored as they were sent, after
// they have been read once, and are answered URL-encoded, as AWS does.
package iam

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"penstock/internal/api/iam"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// Limits of AWS, whose excess is LimitExceeded.
const (
	maxTrust     = 2048
	maxRoleText  = 10240
	maxUserText  = 2048
	maxManaged   = 6144
	maxAttached  = 10
	maxTags      = 50
	maxKeys      = 2
	maxVersions  = 5
	defaultPage  = 100
	shortSession = 3600
)

// Deps are what the room needs.
type Deps struct {
	// DB holds users, keys, roles and policies.
	DB *store.DB
}

// Room implements IAM. It is safe for concurrent use.
type Room struct {
	iam.Unimplemented
	db *store.DB
}

// New gives the room.
func New(d Deps) *Room { return &Room{db: d.DB} }

var _ iam.Service = (*Room)(nil)

// subject is the user or role that a request is about.
type subject struct {
	store.Holder
	arn, path, id string
	created       time.Time
}

// kindName is how messages call the kind of a subject.
func kindName(kind string) string {
	if kind == store.HolderUser {
		return "User"
	}
	return "Role"
}

// arnOf names a user or role of the caller's account.
func arnOf(ctx context.Context, kind, path, name string) string {
	c := auth.From(ctx)
	if kind == store.HolderUser {
		return auth.UserARN(c.Partition(), c.Account, path, name)
	}
	return auth.RoleARN(c.Partition(), c.Account, path, name)
}

func notFound(kind, name string) error {
	return fault.New("NoSuchEntity", "The %s with name %s cannot be found.", strings.ToLower(kindName(kind)), name)
}

// load reads a subject; NoSuchEntity if there is none.
func load(ctx context.Context, tx *store.Tx, kind, account, name string) (subject, error) {
	s := subject{Holder: store.Holder{Account: account, Kind: kind, Name: name}}
	var err error
	if kind == store.HolderUser {
		var u store.User
		u, err = tx.GetUser(ctx, account, name)
		s.Name, s.path, s.id, s.created = u.Name, u.Path, u.ID, u.Created
	} else {
		var r store.Role
		r, err = tx.GetRole(ctx, account, name)
		s.Name, s.path, s.id, s.created = r.Name, r.Path, r.ID, r.Created
	}
	if errors.Is(err, store.ErrNotFound) {
		return s, notFound(kind, name)
	}
	s.arn = arnOf(ctx, kind, s.path, s.Name)
	return s, err
}

// find reads a subject and checks that the caller may do an action on it. What does not
// exist is checked too, so that nobody learns of it who may not.
func (m *Room) find(ctx context.Context, kind, name, action string) (subject, error) {
	account := auth.From(ctx).Account
	var s subject
	err := m.db.View(ctx, func(tx *store.Tx) (err error) {
		s, err = load(ctx, tx, kind, account, name)
		return err
	})
	if err != nil && fault.Code(err) == "" {
		return s, err
	}
	arn := s.arn
	if err != nil {
		arn = arnOf(ctx, kind, "/", name)
	}
	if denied := auth.Check(ctx, "iam:"+action, arn); denied != nil {
		return s, denied
	}
	return s, err
}

// change finds a subject and runs f on it in a transaction, in which it still exists. Nobody else
// changes anything of the account meanwhile: limits count, and who removes a subject leaves nothing.
func (m *Room) change(ctx context.Context, kind, name, action string, f func(tx *store.Tx, s subject) error) error {
	s, err := m.find(ctx, kind, name, action)
	if err != nil {
		return err
	}
	return m.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(ctx, s.Account); err != nil {
			return err
		}
		now, err := load(ctx, tx, kind, s.Account, s.Name)
		if err == nil && isLinked(now.path) && unmodifiable[action] {
			err = fault.New("UnmodifiableEntity", "Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS", now.Name)
		}
		if err != nil {
			return err
		}
		return f(tx, now)
	})
}

// read finds a subject and runs f on it in one snapshot.
func (m *Room) read(ctx context.Context, kind, name, action string, f func(tx *store.Tx, s subject) error) error {
	s, err := m.find(ctx, kind, name, action)
	if err != nil {
		return err
	}
	return m.db.View(ctx, func(tx *store.Tx) error { return f(tx, s) })
}

// encoded gives a document as it is answered.
func encoded(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

// date gives a time as IAM answers it: whole seconds.
func date(t time.Time) *time.Time { return new(t.Truncate(time.Second)) }

// size counts a document as the quotas do: without white space.
func size(document string) int {
	n := 0
	for _, c := range document {
		if !unicode.IsSpace(c) {
			n++
		}
	}
	return n
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// noBoundary refuses what would otherwise be a restriction that nobody enforces.
func noBoundary(arn string) error {
	if arn == "" {
		return nil
	}
	return fault.New("InvalidInput", "Permissions boundaries are not offered by this penstock server.")
}

// mark makes the marker of a page from its last name.
func mark(last string) string { return base64.RawURLEncoding.EncodeToString([]byte("v1:" + last)) }

// after reads a marker; everything else is refused.
func after(marker string) (string, error) {
	if marker == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(marker)
	last, ok := strings.CutPrefix(string(raw), "v1:")
	if err != nil || !ok {
		return "", fault.New("ValidationError", "Invalid Marker")
	}
	return last, nil
}

func pageSize(max *int32) int {
	if max == nil {
		return defaultPage
	}
	return int(*max)
}

// order is the key by which short lists are sorted and cut: without regard to case first.
func order(name string) string { return strings.ToLower(name) + "\x00" + name }

// folded sorts a short list by name.
func folded[T any](list []T, name func(T) string) []T {
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(order(name(a)), order(name(b))) })
	return list
}

// page cuts a list that folded has sorted to a page.
func page[T any](list []T, name func(T) string, marker string, max *int32) ([]T, *bool, string, error) {
	from, err := after(marker)
	if err != nil {
		return nil, nil, "", err
	}
	out := []T{}
	for _, v := range list {
		if marker != "" && order(name(v)) <= order(from) {
			continue
		}
		if len(out) == pageSize(max) {
			return out, new(true), mark(name(out[len(out)-1])), nil
		}
		out = append(out, v)
	}
	return out, new(false), "", nil
}

// more cuts the extra row off that was read to know whether there is a next page.
func more[T any](list []T, name func(T) string, max *int32) ([]T, *bool, string) {
	if n := pageSize(max); len(list) > n {
		return list[:n], new(true), mark(name(list[n-1]))
	}
	return list, new(false), ""
}
