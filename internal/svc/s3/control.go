package s3

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"penstock/internal/store"
)

const controlPath = "/v20180820/"

// isControl tells S3 Control from S3: it signs for the same service, and has a path of its
// own and the header with the account (N-7, W-36).
func isControl(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, controlPath) && r.Header.Get("X-Amz-Account-Id") != ""
}

// control serves the tags of S3 Control. For the rest of it MethodNotAllowed is what makes
// Terraform fall back to S3 (N-7).
func (c *call) control() error {
	escaped, ok := strings.CutPrefix(c.r.URL.EscapedPath(), controlPath+"tags/")
	if !ok {
		return methodNotAllowed()
	}
	if c.r.Header.Get("X-Amz-Account-Id") != c.caller.Account {
		return accessDenied()
	}
	resource, err := url.PathUnescape(escaped)
	name, ok := strings.CutPrefix(resource, bucketARN(c.ctx(), ""))
	if err != nil || !ok || strings.Contains(name, "/") {
		return invalidRequest("The resource ARN is not that of a bucket")
	}
	c.name = name
	var action string
	var run func() error
	switch c.r.Method {
	case http.MethodGet:
		action, run = "s3:ListTagsForResource", c.controlList
	case http.MethodPost:
		action, run = "s3:TagResource", c.controlTag
	case http.MethodDelete:
		action, run = "s3:UntagResource", c.controlUntag
	default:
		return methodNotAllowed()
	}
	return c.recorded(c.r.Method != http.MethodGet, strings.TrimPrefix(action, "s3:"), func() error {
		if err := c.loadBucket(); err != nil {
			return err
		}
		if err := c.check(action, c.name, ""); err != nil {
			return err
		}
		return run()
	})
}

func (c *call) controlList() error {
	tags, err := c.bucketTags()
	if err != nil {
		return err
	}
	out := struct {
		XMLName xml.Name `xml:"http://awss3control.amazonaws.com/doc/2018-08-20/ ListTagsForResourceResult"`
		Tags    struct{ Tag []tagElement }
	}{}
	out.Tags.Tag = elements(tags)
	c.writeXML(http.StatusOK, out)
	return nil
}

func (c *call) controlTag() error {
	var in struct {
		Tag []tagElement `xml:"Tags>Tag"`
	}
	found, err := c.readXML(maxXML, "TagResourceRequest", &in)
	if err != nil {
		return err
	}
	if !found {
		return malformedXML()
	}
	added, err := readTags(in.Tag, maxBucketTags)
	if err != nil {
		return err
	}
	return c.changeTags(func(tags []store.Tag) ([]store.Tag, error) {
		for _, t := range added {
			if i := slices.IndexFunc(tags, func(old store.Tag) bool { return old.Key == t.Key }); i >= 0 {
				tags[i] = t
			} else {
				tags = append(tags, t)
			}
		}
		// The limit holds for the whole.
		_, err := readTags(elements(tags), maxBucketTags)
		return tags, err
	})
}

func (c *call) controlUntag() error {
	keys := c.query["tagKeys"]
	return c.changeTags(func(tags []store.Tag) ([]store.Tag, error) {
		return slices.DeleteFunc(tags, func(t store.Tag) bool { return slices.Contains(keys, t.Key) }), nil
	})
}
