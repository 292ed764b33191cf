// Package ssm is Parameter Store, the one part of Systems Manager that this server has (N-17).
//
// Every value is encrypted at rest with the server's master key, whatever its type; the type
// SecureString decides only what is shown to whom does not ask for decryption.
package ssm

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"

	wire "penstock/internal/api/ssm"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// The limits of the service.
const (
	maxParameters = 10_000 // of an account and Region
	maxVersions   = 100    // of a parameter
	maxLevels     = 15
	maxARN        = 1011
	maxTags       = 50
)

const secure = "SecureString"

// Deps is what the room works with.
type Deps struct{ DB *store.DB }

// Room has the parameters. It is safe for concurrent use.
type Room struct {
	wire.Unimplemented
	deps Deps
}

var _ wire.Service = (*Room)(nil)

// New makes the room.
func New(deps Deps) *Room { return &Room{deps: deps} }

// doc is what a version's row keeps beside its value and type.
type doc struct {
	Description    string `json:"description,omitempty"`
	KeyID          string `json:"keyId,omitempty"`
	AllowedPattern string `json:"allowedPattern,omitempty"`
	Tier           string `json:"tier"`
	User           string `json:"user"`
}

func (d *doc) read(p store.Parameter) error { return json.Unmarshal([]byte(p.Doc), d) }

func invalid(format string, args ...any) error {
	return fault.New("ValidationException", format, args...)
}

func notFound(name string) error {
	return fault.New("ParameterNotFound", "Parameter %s not found.", name)
}

func arnPrefix(c auth.Caller) string {
	return arn.New("ssm", c.Region, c.Account, "")
}

// parameterARN names a parameter. AWS writes one slash between the type and the name, whether the name
// begins with one or not.
func parameterARN(c auth.Caller, name string) string {
	return arnPrefix(c) + "parameter/" + strings.TrimPrefix(name, "/")
}

// tagged is the key of a parameter's tags. It is not the ARN, which /a and a share.
func tagged(c auth.Caller, name string) string { return arnPrefix(c) + "parameter:" + name }

// allow authorises an operation on a parameter.
func allow(ctx context.Context, operation, name string) (auth.Caller, error) {
	c := auth.From(ctx)
	return c, auth.Check(ctx, "ssm:"+operation, parameterARN(c, name))
}

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	// anyName is what every name looks like.
	anyName = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)
)

// checkName refuses what cannot be the name of a new parameter.
func checkName(c auth.Caller, name string) error {
	bare := strings.ToLower(strings.TrimPrefix(name, "/"))
	levels := strings.Split(strings.TrimPrefix(name, "/"), "/")
	switch {
	case strings.HasPrefix(bare, "aws"):
		return fault.New("AccessDeniedException", "No access to reserved parameter name: %s.", name)
	case strings.Contains(name, "/") && name[0] != '/':
		return invalid("Parameter name must be a fully qualified name.")
	case len(levels) > maxLevels:
		return fault.New("HierarchyLevelLimitExceededException", "Parameter name %q has %d levels. A name can have a maximum of %d levels.", name, len(levels), maxLevels)
	case len(parameterARN(c, name)) > maxARN:
		return invalid("Parameter name: the ARN of the parameter would have more than %d characters.", maxARN)
	}
	good := !strings.HasPrefix(bare, "ssm")
	for _, level := range levels {
		good = good && nameForm.MatchString(level)
	}
	if !good {
		return invalid(`Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; ` +
			`each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_`)
	}
	return nil
}

// reference is what a caller names: a parameter, and perhaps one version of it.
type reference struct {
	// names are the names that the text can mean: an ARN does not tell /a from a.
	names []string
	// selector is the text from the colon on, version its number; 0 for the newest.
	selector string
	version  int64
}

// refer reads NAME, NAME:VERSION, and the same with an ARN. What names nothing here gives no
// names.
func refer(c auth.Caller, text string) reference {
	var ref reference
	name, byARN := strings.CutPrefix(text, arnPrefix(c)+"parameter/")
	if !byARN && strings.HasPrefix(text, "arn:") {
		return ref
	}
	name, selector, picked := strings.Cut(name, ":")
	if !anyName.MatchString(name) {
		return ref
	}
	ref.names = []string{name}
	if byARN {
		ref.names = []string{"/" + name}
		if !strings.Contains(name, "/") {
			ref.names = []string{name, "/" + name}
		}
	}
	if picked {
		ref.selector = ":" + selector
		// A label is no number and, as nothing has labels here, names no version.
		if ref.version, _ = strconv.ParseInt(selector, 10, 64); ref.version < 1 {
			ref.version = -1
		}
	}
	return ref
}

// parameter finds what a reference names.
func parameter(ctx context.Context, tx *store.Tx, c auth.Caller, text string, ref reference) (p store.Parameter, err error) {
	err = store.ErrNotFound
	for _, name := range ref.names {
		if p, err = tx.Parameter(ctx, c.Account, c.Region, name); !errors.Is(err, store.ErrNotFound) {
			break
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return p, notFound(text)
	}
	if err == nil && ref.version != 0 && ref.version != p.Version {
		found, verr := tx.ParameterVersion(ctx, c.Account, c.Region, p.Name, ref.version)
		if errors.Is(verr, store.ErrNotFound) {
			verr = fault.New("ParameterVersionNotFound", "Systems Manager could not find version %s of %s.", strings.TrimPrefix(ref.selector, ":"), p.Name)
		}
		return found, verr
	}
	return p, err
}

// value gives the value as it is shown: decrypted if the caller wants it, else that of a
// SecureString as its ciphertext.
func value(tx *store.Tx, p store.Parameter, decrypt *bool) (string, error) {
	if p.Type == secure && (decrypt == nil || !*decrypt) {
		return base64.StdEncoding.EncodeToString([]byte(p.Sealed)), nil
	}
	v, err := tx.ParameterValue(p)
	return string(v), err
}

// show gives a parameter as the API tells it.
func show(tx *store.Tx, c auth.Caller, p store.Parameter, selector string, decrypt *bool) (wire.Parameter, error) {
	text, err := value(tx, p, decrypt)
	return wire.Parameter{
		Name: p.Name, Type: p.Type, Value: text, Version: &p.Version, Selector: selector, LastModifiedDate: &p.Created, ARN: parameterARN(c, p.Name), DataType: "text",
	}, err
}

// A page begins behind the last key of the one before (W-26).
func pageToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte("p" + key)) }

func parsePageToken(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	key, ok := strings.CutPrefix(string(data), "p")
	if err != nil || !ok || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fault.New("InvalidNextToken", "The specified token isn't valid.")
	}
	return key, nil
}
