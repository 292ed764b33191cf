package s3

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"time"

	"penstock/internal/api"
	"penstock/internal/store"
)

// notified is a bucket's configuration of notifications, as far as it is kept.
type notified struct {
	EventBridge *struct{}                    `xml:"EventBridgeConfiguration"`
	Others      []struct{ XMLName xml.Name } `xml:",any"`
}

// change is the detail of the events by which rules start pipelines on an object (S-238). The
// order of the members is that of S3.
type change struct {
	Version      string        `json:"version"`
	EventVersion string        `json:"event-version"`
	Bucket       changedBucket `json:"bucket"`
	Object       changedObject `json:"object"`
	Request      string        `json:"request-id"`
	Requester    string        `json:"requester"`
	Address      string        `json:"source-ip-address"`
	Reason       string        `json:"reason"`
	Deletion     string        `json:"deletion-type,omitempty"`
}

type changedBucket struct {
	Name string `json:"name"`
}

type changedObject struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"etag,omitempty"`
	Version   string `json:"version-id,omitempty"`
	Sequencer string `json:"sequencer"`
}

const (
	// notificationDocument is the sub-resource that keeps the configuration.
	notificationDocument = "notification"

	createdEvent = "Object Created"
	deletedEvent = "Object Deleted"
	// What a deletion was.
	removedForGood = "Permanently Deleted"
	markerAdded    = "Delete Marker Created"
)

// emptyETag is what S3 tells of delete markers: the hash of nothing.
const emptyETag = "d41d8cd98f00b204e9800998ecf8427e"

// tellCreated and tellDeleted keep the event of a change with the change itself, for buckets
// that send their events to EventBridge. The caller has locked the key, so the events of a
// key are in the order of its changes.
func (c *call) tellCreated(tx *store.Tx, b store.Bucket, o *store.Object) error {
	return c.tell(tx, b, createdEvent, change{Reason: c.op, Object: changedObject{
		Key: o.Key, Size: &o.Size, ETag: o.ETag, Version: eventVersion(b, o.Version)}})
}

func (c *call) tellDeleted(tx *store.Tx, b store.Bucket, o store.Object, kind string) error {
	etag := o.ETag
	if o.DeleteMarker {
		etag = emptyETag
	}
	return c.tell(tx, b, deletedEvent, change{Reason: "DeleteObject", Deletion: kind, Object: changedObject{
		Key: o.Key, ETag: etag, Version: eventVersion(b, o.Version)}})
}

// eventVersion is the version id that events show: none in a bucket that never had versions.
func eventVersion(b store.Bucket, version string) string {
	if b.Versioning == "" {
		return ""
	}
	return version
}

func (c *call) tell(tx *store.Tx, b store.Bucket, kind string, d change) error {
	if c.Room.tell == nil {
		return nil
	}
	text, err := tx.BucketDocument(c.ctx(), b.Name, notificationDocument)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var config notified
	if err := xml.Unmarshal([]byte(text), &config); err != nil {
		return fmt.Errorf("s3: the notifications of %s: %w", b.Name, err)
	}
	if config.EventBridge == nil {
		return nil
	}
	d.Version, d.EventVersion, d.Bucket.Name = "0", "1.0", b.Name
	d.Request, d.Requester, d.Address = api.RequestID(c.ctx()), c.caller.Account, c.r.RemoteAddr
	if host, _, err := net.SplitHostPort(c.r.RemoteAddr); err == nil {
		d.Address = host
	}
	d.Object.Sequencer = c.sequencer()
	detail, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return c.Room.tell(c.ctx(), tx, store.Outgoing{
		Source: "aws.s3", Account: b.Account, Region: b.Region, Resource: bucketARN(c.ctx(), b.Name), At: tx.Now(), DetailType: kind, Detail: string(detail),
	})
}

// sequencer gives a number that is greater for every later change: seconds, then their
// fraction, in hexadecimal.
func (s *Room) sequencer() string {
	now := time.Now()
	next := uint64(now.Unix())<<32 | uint64(now.Nanosecond())<<32/uint64(time.Second)
	for {
		last := s.last.Load()
		next = max(next, last+1)
		if s.last.CompareAndSwap(last, next) {
			return fmt.Sprintf("%016x", next)
		}
	}
}
