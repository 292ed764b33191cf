package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"penstock/internal/policy"
	"penstock/internal/store"
)

const (
	// cacheTTL bounds how long a change on another node whose wake-up was lost stays
	// unseen.
	cacheTTL = 30 * time.Second
	cacheMax = 4096
)

// cache keeps copies of keys and principals, so that a request costs no read of the
// database. A copy goes when any node changes something in IAM.
type cache struct {
	db   *store.DB
	wake <-chan struct{}
	stop func()

	mu         sync.RWMutex
	generation uint64
	keys       map[string]copyOf[store.AccessKey]
	principals map[store.Holder]copyOf[*principal]
	// signing has the derived keys of those who proved that they have the secret: deriving one
	// takes as long as the rest of the check.
	signing map[signingScope][]byte
}

// signingScope is what a signing key is derived from. Of the secret it has the hash, which an
// access key that gets another secret does not share, and which signs nothing: what is kept
// here is worth nothing once its day is over.
type signingScope struct {
	secret               [sha256.Size]byte
	day, region, service string
}

type copyOf[T any] struct {
	value T
	until time.Time
}

// principal is a user or role with everything that decides what it may do.
type principal struct {
	name, path, id, arn string
	rights
	// Only roles have these.
	trust      *policy.Document
	maxSession time.Duration
}

func (c *cache) init(db *store.DB) {
	c.db = db
	c.wake, c.stop = db.Subscribe(store.TopicIAM)
	c.clear()
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.keys = make(map[string]copyOf[store.AccessKey])
	c.principals = make(map[store.Holder]copyOf[*principal])
	c.signing = make(map[signingScope][]byte)
}

// fresh drops the copies if something has changed. A change of this node has woken the
// channel before the call that made it returned.
func (c *cache) fresh() {
	select {
	case <-c.wake:
		c.clear()
	default:
	}
}

// cached gives the copy under k, or what load gives, and keeps that if nothing changed
// meanwhile. What is not found is not kept: nobody can fill the memory with made-up keys.
func cached[K comparable, T any](c *cache, m func() map[K]copyOf[T], k K, now time.Time, load func() (T, error)) (T, error) {
	c.fresh()
	c.mu.RLock()
	have, ok := m()[k]
	generation := c.generation
	c.mu.RUnlock()
	if ok && now.Before(have.until) {
		return have.value, nil
	}
	value, err := load()
	if err != nil {
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == generation {
		if len(m()) >= cacheMax {
			clear(m())
		}
		m()[k] = copyOf[T]{value, now.Add(cacheTTL)}
	}
	return value, nil
}

// signingKey gives the key of a scope; nil if it is not kept.
func (c *cache) signingKey(scope signingScope) []byte {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.signing[scope]
}

// keepSigningKey keeps a key that has verified a signature; nil is none.
func (c *cache) keepSigningKey(scope signingScope, key []byte) {
	if key == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.signing) >= cacheMax {
		clear(c.signing)
	}
	c.signing[scope] = key
}

type txKey struct{}

// Using gives a context in which Check and CanAssume read through a transaction: inside one,
// another read of the database would need a second connection, of which there are few.
func Using(ctx context.Context, tx *store.Tx) context.Context {
	return context.WithValue(ctx, txKey{}, tx)
}

// view reads in the transaction of the context, or in a snapshot of its own.
func (c *cache) view(ctx context.Context, f func(tx *store.Tx) error) error {
	if tx, ok := ctx.Value(txKey{}).(*store.Tx); ok {
		return f(tx)
	}
	return c.db.View(ctx, f)
}

// key gives a long-lived key; store.ErrNotFound if there is none.
func (a *Auth) key(ctx context.Context, id string) (store.AccessKey, error) {
	c := &a.cache
	return cached(c, func() map[string]copyOf[store.AccessKey] { return c.keys }, id, a.now(), func() (k store.AccessKey, err error) {
		err = c.view(ctx, func(tx *store.Tx) error {
			k, err = tx.GetAccessKey(ctx, id)
			return err
		})
		return k, err
	})
}

// principal gives a user or role; store.ErrNotFound if there is none.
func (a *Auth) principal(ctx context.Context, h store.Holder) (*principal, error) {
	c := &a.cache
	return cached(c, func() map[store.Holder]copyOf[*principal] { return c.principals }, h, a.now(), func() (p *principal, err error) {
		err = c.view(ctx, func(tx *store.Tx) error {
			p, err = a.loadPrincipal(ctx, tx, h)
			return err
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			err = fmt.Errorf("auth: read the policies of %s %s: %w", h.Kind, h.Name, err)
		}
		return p, err
	})
}

func (a *Auth) loadPrincipal(ctx context.Context, tx *store.Tx, h store.Holder) (*principal, error) {
	p := &principal{}
	if h.Kind == store.HolderUser {
		u, err := tx.GetUser(ctx, h.Account, h.Name)
		if err != nil {
			return nil, err
		}
		p.name, p.path, p.id, p.tags = u.Name, u.Path, u.ID, u.Tags
		p.arn = UserARN(a.partition, u.Account, u.Path, u.Name)
	} else {
		r, err := tx.GetRole(ctx, h.Account, h.Name)
		if err != nil {
			return nil, err
		}
		p.name, p.path, p.id, p.tags, p.maxSession = r.Name, r.Path, r.ID, r.Tags, r.MaxSession
		p.arn = RoleARN(a.partition, r.Account, r.Path, r.Name)
		if p.trust, err = policy.Parse(r.Trust, policy.Trust); err != nil {
			return nil, fmt.Errorf("trust policy: %w", err)
		}
	}
	texts, builtin, err := tx.PolicyDocuments(ctx, h)
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		// A document that cannot be read might hold a Deny, so nothing is decided
		// without it.
		d, err := policy.Parse(text, policy.Identity)
		if err != nil {
			return nil, fmt.Errorf("a policy: %w", err)
		}
		p.docs = append(p.docs, d)
	}
	for _, text := range builtin {
		// By its name: a folder may have been a server's of another partition.
		_, name, _ := strings.Cut(text, ":iam::aws:policy/")
		if b, ok := builtins(a.partition)[name]; ok {
			p.docs = append(p.docs, b.parsed)
		}
	}
	return p, nil
}

// role gives a role by its ARN; store.ErrNotFound if there is none.
func (a *Auth) role(ctx context.Context, arn string) (*principal, error) {
	account, name, ok := splitRole(arn)
	if !ok {
		return nil, store.ErrNotFound
	}
	p, err := a.principal(ctx, store.Holder{Account: account, Kind: store.HolderRole, Name: name})
	if err == nil && p.arn != arn {
		err = store.ErrNotFound // the name in another case, or another path
	}
	return p, err
}
