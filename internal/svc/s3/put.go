package s3

import (
	"crypto/rand"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"

	"penstock/internal/fault"
	"penstock/internal/mishap"
	"penstock/internal/store"
)

// newObject takes from the request what an object to be has besides its bytes, and checks
// the further permissions that some of it needs.
func (c *call) newObject() (o store.Object, err error) {
	o = store.Object{Bucket: c.name, Key: c.key}
	if o.Info, err = c.readInfo(); err != nil {
		return o, err
	}
	if o.ACL, err = c.objectACL(); err != nil {
		return o, err
	}
	if o.Tags, err = parseTagHeader(c.r.Header.Get("X-Amz-Tagging")); err != nil {
		return o, err
	}
	if len(o.Tags) > 0 {
		err = c.check("s3:PutObjectTagging", c.name, c.key)
	}
	return o, err
}

func (c *call) putObject() error {
	o, err := c.newObject()
	if err != nil {
		return err
	}
	// A condition that fails now spares the transfer; it is judged again at the commit.
	if c.conditional() {
		err := c.db.View(c.ctx(), func(tx *store.Tx) error { return c.writable(tx, c.key) })
		if err != nil {
			return err
		}
	}
	key, in, err := c.receive(nil)
	if err != nil {
		return err
	}
	o.Blob, o.Size, o.ETag = key, in.size, in.etag()
	if o.Info.Algorithm, o.Info.Checksum = in.checksum(); o.Info.Algorithm != "" {
		o.Info.Type = fullObject
	}
	if err := c.keep(&o, nil); err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("ETag", quote(o.ETag))
	h.Set("x-amz-object-size", strconv.FormatInt(o.Size, 10))
	c.showVersion(o)
	c.showChecksum(o.Info)
	c.echoEncryption(o.Info)
	return c.done(http.StatusOK)
}

// newVersion gives the version id that a write gets in the bucket's state.
func newVersion(b store.Bucket) string {
	if b.Versioning == "Enabled" {
		return rand.Text()
	}
	return store.NullVersion
}

// keep commits o as the latest version of its key, after more has done its part in the
// same transaction, and tells that there is a new version. When the write is refused the
// blob of o is deleted.
func (c *call) keep(o *store.Object, more func(tx *store.Tx) (freed []string, err error)) error {
	mishap.At(mishap.ObjectStored)
	var freed []string
	refused := true
	err := c.db.Update(c.ctx(), func(tx *store.Tx) (err error) {
		defer func() { refused = err != nil }()
		freed = nil
		if err := tx.LockObject(c.ctx(), c.name, o.Key); err != nil {
			return err
		}
		// The bucket may have been deleted or its versioning changed during the transfer.
		if c.bucket, err = tx.Bucket(c.ctx(), c.name); errors.Is(err, store.ErrNotFound) {
			return noSuchBucket()
		} else if err != nil {
			return err
		}
		if err := c.writable(tx, o.Key); err != nil {
			return err
		}
		var extra []string
		if more != nil {
			if extra, err = more(tx); err != nil {
				return err
			}
		}
		o.Version = newVersion(c.bucket)
		freed, err = tx.PutObject(c.ctx(), o)
		if err != nil {
			return err
		}
		freed = append(freed, extra...)
		return c.tellCreated(tx, c.bucket, o)
	})
	if err != nil {
		// After a commit that failed the row may exist all the same; a sweep then knows.
		if refused && o.Blob != "" {
			c.free([]string{o.Blob})
		}
		return err
	}
	mishap.At(mishap.ObjectKept)
	c.free(freed)
	c.created(o.Bucket, o.Key)
	return nil
}

func (c *call) deleteObject() error {
	var gone deletion
	err := c.db.Update(c.ctx(), func(tx *store.Tx) (err error) {
		if err := tx.LockObject(c.ctx(), c.name, c.key); err != nil {
			return err
		}
		gone, err = c.remove(tx, c.key, c.version, c.r.Header.Get("If-Match"))
		return err
	})
	if err != nil {
		return err
	}
	c.free(gone.freed)
	h := c.w.Header()
	if gone.marker {
		h.Set("x-amz-delete-marker", "true")
	}
	if gone.version != "" {
		h.Set("x-amz-version-id", gone.version)
	}
	return c.done(http.StatusNoContent)
}

// deletion is what a delete has done.
type deletion struct {
	// version is what was removed or, with added, the delete marker that was put in front.
	version       string
	marker, added bool
	freed         []string
}

// remove deletes a version for good or, without one, puts what the bucket's versioning
// asks for in the place of the object. etag, if not empty, is a condition.
// The caller has locked the key.
func (c *call) remove(tx *store.Tx, key, version, etag string) (deletion, error) {
	b, err := tx.Bucket(c.ctx(), c.name)
	if errors.Is(err, store.ErrNotFound) {
		return deletion{}, noSuchBucket()
	}
	if err != nil {
		return deletion{}, err
	}
	if etag != "" {
		o, err := tx.Object(c.ctx(), c.name, key, version)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && o.DeleteMarker:
			return deletion{}, noSuchKey()
		case err != nil:
			return deletion{}, err
		case !matches(etag, o.ETag):
			return deletion{}, preconditionFailed()
		}
	}
	if version == "" && b.Versioning != "" {
		o := store.Object{Bucket: c.name, Key: key, DeleteMarker: true, Version: newVersion(b)}
		freed, err := tx.PutObject(c.ctx(), &o)
		if err != nil {
			return deletion{}, err
		}
		return deletion{version: o.Version, marker: true, added: true, freed: freed}, c.tellDeleted(tx, b, o, markerAdded)
	}
	gone, freed, err := tx.DeleteObject(c.ctx(), c.name, key, version)
	switch {
	case errors.Is(err, store.ErrNotFound):
		// What is not there is deleted already.
	case err != nil:
		return deletion{}, err
	default:
		if err := c.tellDeleted(tx, b, gone, removedForGood); err != nil {
			return deletion{}, err
		}
	}
	return deletion{version: version, marker: gone.DeleteMarker, freed: freed}, nil
}

type deleteRequest struct {
	Quiet  bool
	Object []struct {
		Key, ETag string
		VersionID *string `xml:"VersionId"`
		// Conditions of directory buckets, which are refused.
		LastModifiedTime, Size string
	}
}

type deletedElement struct {
	Key                   string
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

type deleteError struct {
	Key       string
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

type deleteResult struct {
	XMLName xml.Name         `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedElement `xml:",omitempty"`
	Error   []deleteError    `xml:",omitempty"`
}

const maxDelete = 1000

// deleteObjects is DeleteObjects: every key has its own answer.
func (c *call) deleteObjects() error {
	var in deleteRequest
	found, err := c.readXML(maxDeleteXML, "Delete", &in)
	if err != nil {
		return err
	}
	if !found || len(in.Object) == 0 || len(in.Object) > maxDelete {
		return malformedXML()
	}
	out := deleteResult{}
	allowed := make([]error, len(in.Object))
	for i, o := range in.Object {
		switch {
		case o.LastModifiedTime != "":
			return notImplemented("LastModifiedTime")
		case o.Size != "":
			return notImplemented("Size")
		case o.Key == "":
			return fault.New("UserKeyMustBeSpecified", "The bucket POST must contain the specified field name. If it is specified, please check the order of the fields.")
		case len(o.Key) > 1024:
			allowed[i] = fault.New("KeyTooLongError", "Your key is too long")
		case o.VersionID != nil && *o.VersionID != "":
			allowed[i] = c.check("s3:DeleteObjectVersion", c.name, o.Key)
		default:
			allowed[i] = c.check("s3:DeleteObject", c.name, o.Key)
		}
		var f *fault.Error
		if allowed[i] != nil && !errors.As(allowed[i], &f) {
			return allowed[i]
		}
	}
	var freed []string
	err = c.db.Update(c.ctx(), func(tx *store.Tx) error {
		out, freed = deleteResult{}, nil
		// One lock for all: PostgreSQL has room for some thousands.
		if err := tx.LockBucket(c.ctx(), c.name); err != nil {
			return err
		}
		for i, o := range in.Object {
			version := ""
			if o.VersionID != nil {
				version = *o.VersionID
			}
			var gone deletion
			err := allowed[i]
			if err == nil {
				gone, err = c.remove(tx, o.Key, version, o.ETag)
			}
			var f *fault.Error
			if errors.As(err, &f) {
				code := f.Code
				if code == "AccessDeniedException" {
					code = "AccessDenied"
				}
				out.Error = append(out.Error, deleteError{o.Key, version, code, f.Message})
				continue
			}
			if err != nil {
				return err
			}
			freed = append(freed, gone.freed...)
			if in.Quiet {
				continue
			}
			d := deletedElement{Key: o.Key, VersionID: version, DeleteMarker: gone.marker}
			if gone.marker {
				d.DeleteMarkerVersionID = gone.version
			}
			out.Deleted = append(out.Deleted, d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.free(freed)
	c.writeXML(http.StatusOK, out)
	return nil
}
