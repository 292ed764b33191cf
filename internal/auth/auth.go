package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"penstock/internal/arn"
	"penstock/internal/sigv4"
	"penstock/internal/store"
)

// Administrator is the user that the first start makes.
const Administrator = "administrator"

// Config is what an Auth needs.
type Config struct {
	// DB holds users, keys, roles and policies.
	DB *store.DB
	// Region is the one of requests that name none: SigV2 URLs and git. All principals are in
	// its partition.
	Region string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Bucket gives the bucket that a Host names in virtual-host style, or "". It must be
	// the one by which the S3 room reads the Host, because a SigV2 signature covers only
	// the result. Nil knows none.
	Bucket func(host string) string
}

// Auth authenticates requests and mints sessions. It is safe for concurrent use; Close
// ends it.
type Auth struct {
	cfg       Config
	partition string
	now       func() time.Time
	cache     cache
	seal      *sealer
}

// New gives an Auth on a database, and makes the server's secret if it has none.
func New(ctx context.Context, cfg Config) (*Auth, error) {
	if !sigv4.ValidRegion(cfg.Region) {
		return nil, fmt.Errorf("auth: %q is no Region name", cfg.Region)
	}
	a := &Auth{cfg: cfg, partition: arn.Partition(cfg.Region), now: cfg.Now}
	if a.now == nil {
		a.now = time.Now
	}
	if a.cfg.Bucket == nil {
		a.cfg.Bucket = func(string) string { return "" }
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	var secret []byte
	err := cfg.DB.Update(ctx, func(tx *store.Tx) (err error) {
		secret, err = tx.ServerSecret(ctx, "session", fresh)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("auth: read the server's secret: %w", err)
	}
	if a.seal, err = newSealer(secret); err != nil {
		return nil, err
	}
	a.cache.init(cfg.DB)
	return a, nil
}

// Close gives back what the Auth holds; it must not be used afterwards.
func (a *Auth) Close() { a.cache.stop() }

// Bootstrap makes an account, in the partition of a Region, with its administrator and a first
// key, if the account is not there yet, and gives the administrator's oldest active key; empty
// if somebody has removed the keys since. It may be called at every start and by several nodes at once.
func Bootstrap(ctx context.Context, db *store.DB, region, account string) (id string, secret store.Secret, err error) {
	if len(account) != 12 || strings.Trim(account, "0123456789") != "" {
		return "", "", fmt.Errorf("auth: an account is twelve digits, not %q", account)
	}
	err = db.Update(ctx, func(tx *store.Tx) error {
		id, secret = "", ""
		known, err := tx.HasAccount(ctx, account)
		if err != nil {
			return err
		}
		if !known {
			if err := createAdministrator(ctx, tx, arn.Partition(region), account); err != nil && !errors.Is(err, store.ErrExists) {
				return err
			}
		}
		keys, err := tx.ListAccessKeys(ctx, account, Administrator)
		for _, k := range keys {
			if k.Active {
				id, secret = k.ID, k.Secret
				break
			}
		}
		return err
	})
	if err != nil {
		return "", "", fmt.Errorf("auth: make the first key: %w", err)
	}
	return id, secret, nil
}

func createAdministrator(ctx context.Context, tx *store.Tx, partition, account string) error {
	if err := tx.PutAccount(ctx, account); err != nil {
		return err
	}
	if err := tx.CreateUser(ctx, store.User{Account: account, Name: Administrator, Path: "/", ID: NewID("AIDA")}); err != nil {
		return err
	}
	holder := store.Holder{Account: account, Kind: store.HolderUser, Name: Administrator}
	if err := tx.AttachPolicy(ctx, holder, builtinARN(partition, "AdministratorAccess")); err != nil {
		return err
	}
	return tx.CreateAccessKey(ctx, store.AccessKey{ID: NewID("AKIA"), Account: account, User: Administrator, Secret: NewSecret(), Active: true})
}

// NewID makes a unique id with one of IAM's prefixes: AKIA, ASIA, AIDA, AROA, ANPA.
func NewID(prefix string) string {
	var raw [10]byte
	_, _ = rand.Read(raw[:]) // never fails
	return prefix + base32.StdEncoding.EncodeToString(raw[:])
}

// NewUUID makes a random UUID, which most services have for ids.
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// NewSecret makes a secret access key: 40 characters, as AWS's are.
func NewSecret() store.Secret {
	var raw [30]byte
	_, _ = rand.Read(raw[:]) // never fails
	return store.Secret(base64.StdEncoding.EncodeToString(raw[:]))
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// UserARN gives the ARN of a user.
func UserARN(partition, account, path, name string) string {
	return arn.ARN{Partition: partition, Service: "iam", Account: account, Resource: "user" + path + name}.String()
}

// RoleARN gives the ARN of a role.
func RoleARN(partition, account, path, name string) string {
	return arn.ARN{Partition: partition, Service: "iam", Account: account, Resource: "role" + path + name}.String()
}

// splitRole takes a role's ARN apart.
func splitRole(text string) (account, name string, ok bool) {
	a, _ := arn.Parse(text)
	if a.Service != "iam" || a.Region != "" || !strings.HasPrefix(a.Resource, "role/") {
		return "", "", false
	}
	return a.Account, a.Resource[strings.LastIndexByte(a.Resource, '/')+1:], true
}
