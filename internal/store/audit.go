package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"penstock/internal/pipeline"
)

// AuditRecord is one record of the audit log. Doc is all that counts; the rest of it is there to
// be searched for.
type AuditRecord struct {
	// ID is unique among all accounts.
	ID, Account, Region string
	// At has microseconds.
	At                                          time.Time
	Source, Name, Username, AccessKey, Resource string
	ReadOnly                                    bool
	// Doc is the record as JSON text.
	Doc string
	// Seq is its place in the chain of the account, 0 before it is sealed, and Hash its link.
	Seq  int64
	Hash string
}

// AuditSeal is a signature over the records First to Last of an account.
type AuditSeal struct {
	Account        string
	First, Last    int64
	Prev, Hash     string
	At             time.Time
	Key, Signature string
}

// Intent is a record that is stored with the first change that its request makes, in the same
// transaction, so that there is neither a change without its record nor a record without
// its change. It is safe for concurrent use.
type Intent struct {
	// Record gives the record. facts are what the transaction noted, by name.
	Record func(facts map[string]any) AuditRecord

	mu     sync.Mutex
	over   bool
	stored bool
	facts  map[string]any
}

type intentKey struct{}

// WithIntent gives a context whose first Update that succeeds stores the record too (W-41).
func WithIntent(ctx context.Context, i *Intent) context.Context {
	return context.WithValue(ctx, intentKey{}, i)
}

// Intend stores the record of a context now, for a change that is made outside the database: it
// must not happen without a record. Without such a record it does nothing.
func (db *DB) Intend(ctx context.Context) error {
	if i, _ := ctx.Value(intentKey{}).(*Intent); i == nil || !i.wanted() {
		return nil
	}
	return db.Update(ctx, func(*Tx) error { return nil })
}

// End says whether the record is stored, and what was noted with it. No later Update stores it.
func (i *Intent) End() (bool, map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	return i.stored, i.facts
}

func (i *Intent) wanted() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.over && !i.stored
}

// intended adds to fn that the record of the context is stored.
func intended(ctx context.Context, fn func(*Tx) error) func(*Tx) error {
	i, _ := ctx.Value(intentKey{}).(*Intent)
	if i == nil || !i.wanted() {
		return fn
	}
	return func(tx *Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if !i.wanted() {
			return nil
		}
		facts := tx.facts
		tx.AfterCommit(func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.stored, i.facts = true, facts
		})
		return tx.PutAudit(ctx, i.Record(facts), true)
	}
}

// Note adds a fact to the record that the transaction stores, if it stores one: what the call is
// about and neither its request nor its answer says. value has a JSON form.
func (tx *Tx) Note(name string, value any) {
	if tx.facts == nil {
		tx.facts = map[string]any{}
	}
	tx.facts[name] = value
}

// NoteDefinition notes which version of a structure was stored, with the digest of its JSON text.
// The secrets of d must be masked: a digest of a short secret tells it to who tries all of them.
func (tx *Tx) NoteDefinition(d *pipeline.Declaration) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	tx.Note("definition", map[string]any{"versionBefore": d.Version - 1, "versionAfter": d.Version, "sha256": hex.EncodeToString(sum[:])})
	return nil
}

// PutAudit stores a record that is not sealed, or nothing if its ID is there. One that is under
// way waits for FinishAudit.
func (tx *Tx) PutAudit(ctx context.Context, r AuditRecord, underWay bool) error {
	_, err := tx.exec(ctx, `INSERT INTO audit_record (id, account, region, at, source, name, username, access_key, resource, read_only, under_way, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING`,
		r.ID, r.Account, r.Region, micros(r.At), r.Source, r.Name, r.Username, r.AccessKey, r.Resource, bit(r.ReadOnly), bit(underWay), r.Doc)
	return err
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FinishAudit gives a record its last text. False says that it is sealed already.
func (tx *Tx) FinishAudit(ctx context.Context, id, doc string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE audit_record SET doc = $2, under_way = 0 WHERE id = $1 AND seq IS NULL`, id, doc)
	return n > 0, err
}

// auditReady selects what can be sealed: records that are finished, and those that nobody will
// finish any more.
const auditReady = `seq IS NULL AND (under_way = 0 OR at < `

// AuditAccounts lists the accounts that have records to seal; a record that is under way since
// before abandoned counts as finished.
func (tx *Tx) AuditAccounts(ctx context.Context, abandoned time.Time) ([]string, error) {
	return all(ctx, tx, `SELECT DISTINCT account FROM audit_record WHERE `+auditReady+`$1) ORDER BY account`, []any{micros(abandoned)}, scanText)
}

// LockAuditHead gives the end of an account's chain and keeps others from growing it until the
// transaction ends; 0 and "" for an account without sealed records.
func (tx *Tx) LockAuditHead(ctx context.Context, account string) (seq int64, hash string, err error) {
	if _, err := tx.exec(ctx, `INSERT INTO audit_head (account, seq, hash) VALUES ($1, 0, '') ON CONFLICT DO NOTHING`, account); err != nil {
		return 0, "", err
	}
	err = tx.one(ctx, `SELECT seq, hash FROM audit_head WHERE account = $1`+tx.forUpdate(), []any{account}, &seq, &hash)
	return seq, hash, err
}

// UnsealedAudit gives up to limit records of an account that can be sealed, oldest first.
func (tx *Tx) UnsealedAudit(ctx context.Context, account string, abandoned time.Time, limit int) ([]AuditRecord, error) {
	return tx.auditRecords(ctx, `account = $1 AND `+auditReady+`$2) ORDER BY at, id LIMIT $3`, account, micros(abandoned), limit)
}

// SealAudit appends records, with Seq and Hash filled in, to the chain under the lock of
// LockAuditHead.
func (tx *Tx) SealAudit(ctx context.Context, s AuditSeal, records []AuditRecord) error {
	for _, r := range records {
		n, err := tx.exec(ctx, `UPDATE audit_record SET seq = $2, hash = $3, under_way = 0 WHERE id = $1 AND seq IS NULL`, r.ID, r.Seq, r.Hash)
		if err == nil && n != 1 {
			err = errors.New("store: an audit record was sealed twice")
		}
		if err != nil {
			return err
		}
	}
	if _, err := tx.exec(ctx, `INSERT INTO audit_seal (account, first, last, prev, hash, at, public_key, signature) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		s.Account, s.First, s.Last, s.Prev, s.Hash, micros(s.At), s.Key, s.Signature); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE audit_head SET seq = $2, hash = $3 WHERE account = $1`, s.Account, s.Last, s.Hash)
	return err
}

// AuditSeals gives up to limit seals of an account that end after a record, in their order.
func (tx *Tx) AuditSeals(ctx context.Context, account string, after int64, limit int) ([]AuditSeal, error) {
	return all(ctx, tx, `SELECT account, first, last, prev, hash, at, public_key, signature FROM audit_seal WHERE account = $1 AND last > $2 ORDER BY last LIMIT $3`,
		[]any{account, after, limit}, func(rows *sql.Rows) (s AuditSeal, err error) {
			var at int64
			err = rows.Scan(&s.Account, &s.First, &s.Last, &s.Prev, &s.Hash, &at, &s.Key, &s.Signature)
			s.At = fromMicros(at)
			return s, err
		})
}

// SealedAudit gives the records of an account with the numbers first to last, in their order.
func (tx *Tx) SealedAudit(ctx context.Context, account string, first, last int64) ([]AuditRecord, error) {
	return tx.auditRecords(ctx, `account = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq`, account, first, last)
}

// FindAudit gives a record of an account by its ID; ErrNotFound if there is none.
func (tx *Tx) FindAudit(ctx context.Context, account, id string) (AuditRecord, error) {
	list, err := tx.auditRecords(ctx, `account = $1 AND id = $2`, account, id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return AuditRecord{}, err
	}
	return list[0], nil
}

// AuditHolders lists the accounts that have sealed records.
func (tx *Tx) AuditHolders(ctx context.Context) ([]string, error) {
	return all(ctx, tx, `SELECT account FROM audit_head ORDER BY account`, nil, scanText)
}

// AuditQuery selects records. Of the texts those that are not empty count.
type AuditQuery struct {
	Account, Region string
	// From and To are both included.
	From, To                                        time.Time
	ID, Source, Name, Username, AccessKey, Resource string
	ReadOnly                                        *bool
	// BeforeAt and BeforeID are the last record of the page before; zero for the first page.
	BeforeAt time.Time
	BeforeID string
	Limit    int
}

// LookupAudit gives the records that a query selects, newest first, whether sealed or not.
func (tx *Tx) LookupAudit(ctx context.Context, q AuditQuery) ([]AuditRecord, error) {
	where := `account = $1 AND region = $2 AND at >= $3 AND at <= $4`
	args := []any{q.Account, q.Region, micros(q.From), micros(q.To)}
	add := func(condition string, value any) {
		args = append(args, value)
		where += condition + "$" + strconv.Itoa(len(args))
	}
	for _, c := range []struct{ column, value string }{
		{"id", q.ID}, {"source", q.Source}, {"name", q.Name}, {"username", q.Username}, {"access_key", q.AccessKey}, {"resource", q.Resource},
	} {
		if c.value != "" {
			add(` AND `+c.column+` = `, c.value)
		}
	}
	if q.ReadOnly != nil {
		add(` AND read_only = `, bit(*q.ReadOnly))
	}
	if q.BeforeID != "" {
		add(` AND (at < `, micros(q.BeforeAt))
		where += ` OR at = $` + strconv.Itoa(len(args))
		add(` AND id < `, q.BeforeID)
		where += `)`
	}
	add(` ORDER BY at DESC, id DESC LIMIT `, q.Limit)
	return tx.auditRecords(ctx, where, args...)
}

func (tx *Tx) auditRecords(ctx context.Context, where string, args ...any) ([]AuditRecord, error) {
	return all(ctx, tx, `SELECT id, account, region, at, source, name, username, access_key, resource, read_only, coalesce(seq, 0), coalesce(hash, ''), doc
		FROM audit_record WHERE `+where, args, func(rows *sql.Rows) (r AuditRecord, err error) {
		var at int64
		var readOnly int
		err = rows.Scan(&r.ID, &r.Account, &r.Region, &at, &r.Source, &r.Name, &r.Username, &r.AccessKey, &r.Resource, &readOnly, &r.Seq, &r.Hash, &r.Doc)
		r.At, r.ReadOnly = fromMicros(at), readOnly == 1
		return r, err
	})
}
