// Package s3 is the S3 room: buckets and versioned objects over package blob, spoken to in
// S3's REST protocol with XML, and the tag operations of S3 Control.
//
// Bodies stream: what is held in memory does not grow with an object. A blob is written and
// synced before the transaction that names it; the blobs that a transaction frees are
// deleted after its commit, so a crash can leave bytes nobody names (Sweep finds them) and
// never a name without bytes.
package s3

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"penstock/internal/auth"
	"penstock/internal/blob"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// Deps are what the room works with.
type Deps struct {
	// DB keeps buckets and versions, Blobs the bytes.
	DB    *store.DB
	Blobs blob.Store
	// Notify, if set, is called with the bucket and the key of an object after the commit of a
	// new version.
	Notify func(bucket, key string)
	// Tell, if set, keeps an event for EventBridge in the transaction of what it tells of.
	Tell func(ctx context.Context, tx *store.Tx, o store.Outgoing) error
	// Hosts are the names of this server, without port: bucket.NAME addresses a bucket.
	// s3.localhost and localhost are always among them (N-5).
	Hosts []string
	// Log gets what no caller can be told; nil is slog.Default.
	Log *slog.Logger
	// Record runs what a caller asks for and keeps a record of it, of the source s3; nil keeps
	// none.
	Record func(ctx context.Context, source, name string, request map[string]any, run func(context.Context) (map[string]any, error)) error
	// Idle is how long a body may stand still in either direction; 0 is a minute.
	Idle time.Duration
}

// Room answers S3 requests whose signature is verified: the caller is in the request's
// context and the body gives the decoded bytes. It is an http.Handler, usable by any
// number of requests at the same time.
type Room struct {
	db     *store.DB
	blobs  blob.Store
	notify func(bucket, key string)
	tell   func(ctx context.Context, tx *store.Tx, o store.Outgoing) error
	hosts  []string
	log    *slog.Logger
	idle   time.Duration
	last   atomic.Uint64 // sequencer
	record func(ctx context.Context, source, name string, request map[string]any, run func(context.Context) (map[string]any, error)) error
}

// New makes the room.
func New(d Deps) *Room {
	s := &Room{db: d.DB, blobs: d.Blobs, notify: d.Notify, tell: d.Tell, log: d.Log, idle: d.Idle, record: d.Record}
	if s.notify == nil {
		s.notify = func(string, string) {}
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.idle == 0 {
		s.idle = time.Minute
	}
	for _, h := range append([]string{"localhost"}, d.Hosts...) {
		h = strings.ToLower(strings.Trim(h, "."))
		s.hosts = append(s.hosts, "s3."+h, h) // the longer suffix is tried first
	}
	return s
}

// call is one request on its way through an operation.
type call struct {
	*Room
	w      http.ResponseWriter
	r      *http.Request
	caller auth.Caller
	query  url.Values
	// name and key are what the request addresses; bucket is loaded, and belongs to the
	// caller's account, for every operation but those that work without one.
	name, key string
	bucket    store.Bucket
	version   string // the versionId parameter
	op        string // the operation's name
}

func (c *call) ctx() context.Context { return c.r.Context() }

// ServeHTTP implements [http.Handler].
func (s *Room) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Room: s, w: w, r: r, caller: auth.From(r.Context())}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

func (c *call) serve() error {
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return fault.New("InvalidURI", "Couldn't parse the specified URI.")
	}
	c.takeQuery()
	if isControl(c.r) {
		return c.control()
	}
	if c.name, c.key, err = c.address(); err != nil {
		return err
	}
	op, err := c.operation()
	if err != nil {
		return err
	}
	c.op = op.name
	if err := c.checkHeaders(); err != nil {
		return err
	}
	if err := c.readVersion(); err != nil {
		return err
	}
	return c.recorded(op.level == bucketLevel && op.method != http.MethodGet && op.method != http.MethodHead && op.name != "DeleteObjects", op.name,
		func() error { return c.carryOut(op) })
}

// takeQuery puts headers that stand in the query of a presigned URL, where they are signed, among
// the headers. Checksums are not taken from there, as S3 does: an SDK that signs before there is a
// body writes that of no body (W-34).
func (c *call) takeQuery() {
	if !c.query.Has("X-Amz-Signature") {
		return
	}
	for name, values := range c.query {
		name = http.CanonicalHeaderKey(name)
		switch value, isChecksum := strings.CutPrefix(name, "X-Amz-Checksum-"); {
		case !strings.HasPrefix(name, "X-Amz-"), c.r.Header.Get(name) != "", name == "X-Amz-Sdk-Checksum-Algorithm":
		case isChecksum && value != "Mode" && value != "Algorithm" && value != "Type":
		default:
			c.r.Header[name] = values
		}
	}
}

// recorded runs a request and keeps a record of it if that is wanted: of what changes buckets. What
// changes objects is too much, and data events in CloudTrail's words (W-41).
func (c *call) recorded(wanted bool, name string, run func() error) error {
	if !wanted || c.record == nil {
		return run()
	}
	return c.record(c.ctx(), "s3", name, map[string]any{"bucketName": c.name}, func(ctx context.Context) (map[string]any, error) {
		c.r = c.r.WithContext(ctx)
		return nil, run()
	})
}

func (c *call) carryOut(op *operation) error {
	if op.level != service && op.name != "CreateBucket" {
		if err := c.loadBucket(); err != nil {
			return err
		}
	}
	if err := c.check(op.actionFor(c), c.name, c.key); err != nil {
		return err
	}
	return op.run(c)
}

func (c *call) readVersion() error {
	if !c.query.Has("versionId") {
		return nil
	}
	c.version = c.query.Get("versionId")
	switch {
	case c.version == "":
		return fault.New("InvalidArgument", "Version id cannot be the empty string")
	case len(c.version) > 1024 || !printable(c.version):
		return fault.New("InvalidArgument", "Invalid version id specified")
	}
	return nil
}

// loadBucket finds the bucket the request names. One of another account is refused before
// anything else is told about it.
func (c *call) loadBucket() error {
	var err error
	c.bucket, err = c.findBucket(c.name)
	if err != nil {
		return err
	}
	c.w.Header().Set("x-amz-bucket-region", c.bucket.Region)
	if owner := c.r.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != c.bucket.Account {
		return accessDenied()
	}
	return nil
}

func (c *call) findBucket(name string) (store.Bucket, error) {
	var b store.Bucket
	err := c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		b, err = tx.Bucket(c.ctx(), name)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrText):
		return store.Bucket{}, noSuchBucket()
	case err != nil:
		return store.Bucket{}, err
	case b.Account != c.caller.Account:
		return store.Bucket{}, accessDenied()
	}
	return b, nil
}

// check asks whether the caller may do the action on the bucket, or on the object if key
// is not empty. An empty action needs no permission.
func (c *call) check(action, bucket, key string) error {
	if action == "" {
		return nil
	}
	switch {
	case bucket == "":
		bucket = "*"
	case key != "":
		bucket += "/" + key
	}
	return auth.Check(c.ctx(), action, bucketARN(c.ctx(), bucket))
}

// free deletes blobs that no row names any more. The request they belong to has been
// carried out, so it is not failed for them.
func (c *call) free(blobs []string) {
	ctx := context.WithoutCancel(c.ctx())
	for _, key := range blobs {
		if err := c.blobs.Delete(ctx, key); err != nil {
			c.log.ErrorContext(ctx, "s3: a blob could not be deleted", "blob", key, "error", err)
		}
	}
}

func (c *call) created(bucket, key string) { c.notify(bucket, key) }

// Sweep deletes the blobs that no object and no part names and that are older than age,
// which must be longer than an upload takes from its last byte to its commit. It reads the
// whole blob store; the owner runs it in the background.
func (s *Room) Sweep(ctx context.Context, age time.Duration) (deleted int, err error) {
	limit := time.Now().Add(-age)
	err = s.blobs.Walk(ctx, func(e blob.Entry) error {
		if e.Modified.After(limit) {
			return nil
		}
		named := false
		err := s.db.View(ctx, func(tx *store.Tx) (err error) {
			named, err = tx.BlobNamed(ctx, e.Key)
			return err
		})
		if err != nil || named {
			return err
		}
		deleted++
		return s.blobs.Delete(ctx, e.Key)
	})
	return deleted, err
}
