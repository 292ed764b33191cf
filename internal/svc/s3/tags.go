package s3

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf16"

	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	maxObjectTags = 10
	maxBucketTags = 50
)

type tagElement struct{ Key, Value string }

func invalidTag(format string, args ...any) error { return fault.New("InvalidTag", format, args...) }

// readTags checks tags as they come in documents.
func readTags(list []tagElement, max int) ([]store.Tag, error) {
	if len(list) > max {
		if max == maxObjectTags {
			return nil, fault.New("BadRequest", "Object tags cannot be greater than %d", max)
		}
		return nil, fault.New("BadRequest", "Bucket tag count cannot be greater than %d", max)
	}
	var tags []store.Tag
	seen := map[string]bool{}
	for _, t := range list {
		switch {
		case t.Key == "" || strings.Contains(t.Key, "\x00") || len(utf16.Encode([]rune(t.Key))) > 128:
			return nil, invalidTag("The TagKey you have provided is invalid")
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, invalidTag("System tags cannot be added/updated by requester")
		case strings.Contains(t.Value, "\x00") || len(utf16.Encode([]rune(t.Value))) > 256:
			return nil, invalidTag("The TagValue you have provided is invalid")
		case seen[t.Key]:
			return nil, invalidTag("Cannot provide multiple Tags with the same key")
		}
		seen[t.Key] = true
		tags = append(tags, store.Tag{Key: t.Key, Value: t.Value})
	}
	return tags, nil
}

// parseTagHeader reads x-amz-tagging: tags in the form of a query.
func parseTagHeader(text string) ([]store.Tag, error) {
	if text == "" {
		return nil, nil
	}
	bad := invalidArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	var list []tagElement
	for pair := range strings.SplitSeq(text, "&") {
		k, v, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil {
			return nil, bad
		}
		list = append(list, tagElement{strings.ToValidUTF8(key, "?"), strings.ToValidUTF8(value, "?")})
	}
	return readTags(list, maxObjectTags)
}

type tagging struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
	TagSet  struct {
		Tag []tagElement
	}
}

func taggingOf(tags []store.Tag) (t tagging) {
	t.TagSet.Tag = elements(tags)
	return t
}

func elements(tags []store.Tag) (list []tagElement) {
	for _, t := range tags {
		list = append(list, tagElement{t.Key, t.Value})
	}
	return list
}

func (c *call) readTagging(max int) ([]store.Tag, error) {
	var in struct {
		Tag []tagElement `xml:"TagSet>Tag"`
	}
	found, err := c.readXML(maxXML, "Tagging", &in)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, malformedXML()
	}
	return readTags(in.Tag, max)
}

func (c *call) getObjectTagging() error {
	o, err := c.find()
	if err != nil {
		return err
	}
	c.showVersion(o)
	c.writeXML(http.StatusOK, taggingOf(o.Tags))
	return nil
}

func (c *call) putObjectTagging() error {
	tags, err := c.readTagging(maxObjectTags)
	if err != nil {
		return err
	}
	return c.setObjectTags(tags, http.StatusOK)
}

func (c *call) deleteObjectTagging() error { return c.setObjectTags(nil, http.StatusNoContent) }

func (c *call) setObjectTags(tags []store.Tag, status int) error {
	o, err := c.find()
	if err != nil {
		return err
	}
	err = c.db.Update(c.ctx(), func(tx *store.Tx) error { return tx.SetObjectTags(c.ctx(), o, tags) })
	if err != nil {
		return err
	}
	c.showVersion(o)
	return c.done(status)
}

// bucketTags reads the tags of a bucket; they are kept as a document.
func (c *call) bucketTags() (tags []store.Tag, err error) {
	err = c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		tags, err = readBucketTags(c.ctx(), tx, c.name)
		return err
	})
	return tags, err
}

func readBucketTags(ctx context.Context, tx *store.Tx, bucket string) (tags []store.Tag, err error) {
	text, err := tx.BucketDocument(ctx, bucket, "tagging")
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return tags, json.Unmarshal([]byte(text), &tags)
}

// changeTags replaces the tags of the bucket by what change makes of them.
func (c *call) changeTags(change func([]store.Tag) ([]store.Tag, error)) error {
	err := c.db.Update(c.ctx(), func(tx *store.Tx) error {
		if err := tx.LockBucket(c.ctx(), c.name); err != nil {
			return err
		}
		tags, err := readBucketTags(c.ctx(), tx, c.name)
		if err != nil {
			return err
		}
		if tags, err = change(tags); err != nil {
			return err
		}
		if len(tags) == 0 {
			return tx.DeleteBucketDocument(c.ctx(), c.name, "tagging")
		}
		text, err := json.Marshal(tags)
		if err != nil {
			return err
		}
		return tx.PutBucketDocument(c.ctx(), c.name, "tagging", string(text))
	})
	if err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}

func (c *call) getBucketTagging() error {
	tags, err := c.bucketTags()
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		return fault.New("NoSuchTagSet", "The TagSet does not exist")
	}
	c.writeXML(http.StatusOK, taggingOf(tags))
	return nil
}

func (c *call) putBucketTagging() error {
	tags, err := c.readTagging(maxBucketTags)
	if err != nil {
		return err
	}
	return c.changeTags(func([]store.Tag) ([]store.Tag, error) { return tags, nil })
}

func (c *call) deleteBucketTagging() error { return c.deleteKind("tagging") }
