package s3

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"

	"penstock/internal/fault"
	"penstock/internal/store"
)

var (
	bucketName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`) })
	regionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`) })
)

func checkBucketName(name string) error {
	_, notIP := netip.ParseAddr(name)
	switch {
	case !bucketName().MatchString(name), strings.Contains(name, ".."), notIP == nil,
		strings.HasPrefix(name, "xn--"), strings.HasPrefix(name, "sthree-"), strings.HasPrefix(name, "amzn-s3-demo-"),
		strings.HasSuffix(name, "-s3alias"), strings.HasSuffix(name, "--ol-s3"), strings.HasSuffix(name, ".mrap"), strings.HasSuffix(name, "--x-s3"):
		return fault.New("InvalidBucketName", "The specified bucket is not valid.")
	}
	return nil
}

type createConfiguration struct {
	LocationConstraint string
	Tags               []tagElement `xml:"Tags>Tag"`
	Bucket             *struct{}
	Location           *struct{}
}

// createBucket is CreateBucket. The configuration may hold only tags (N-6).
func (c *call) createBucket() error {
	if err := checkBucketName(c.name); err != nil {
		return err
	}
	if strings.EqualFold(c.r.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"), "true") {
		return notImplemented("x-amz-bucket-object-lock-enabled")
	}
	if in := c.r.Header.Get("X-Amz-Bucket-Namespace"); in != "" && in != "global" {
		return notImplemented("x-amz-bucket-namespace: " + strings.ToValidUTF8(in, "?"))
	}
	acl, err := c.cannedACL(bucketACLs)
	if err != nil {
		return err
	}
	ownership := c.r.Header.Get("X-Amz-Object-Ownership")
	if ownership != "" && !validOwnership(ownership) {
		return invalidArgument("Invalid x-amz-object-ownership header: %s", ownership)
	}
	var config createConfiguration
	if _, err := c.readXML(maxXML, "CreateBucketConfiguration", &config); err != nil {
		return err
	}
	if config.Bucket != nil || config.Location != nil {
		return notImplemented("directory buckets")
	}
	region, err := c.bucketRegion(config.LocationConstraint)
	if err != nil {
		return err
	}
	tags, err := readTags(config.Tags, maxBucketTags)
	if err != nil {
		return err
	}
	if len(tags) > 0 {
		if err := c.check("s3:PutBucketTagging", c.name, ""); err != nil {
			return err
		}
	}
	err = c.db.Update(c.ctx(), func(tx *store.Tx) error {
		made, err := tx.CreateBucket(c.ctx(), store.Bucket{Name: c.name, Account: c.caller.Account, Region: region})
		if err != nil {
			return err
		}
		if !made {
			return c.bucketExists(tx)
		}
		documents := map[string]string{"acl": acl}
		if ownership != "" {
			documents["ownershipControls"] = ownershipDocument(ownership)
		}
		if len(tags) > 0 {
			text, err := json.Marshal(tags)
			if err != nil {
				return err
			}
			documents["tagging"] = string(text)
		}
		for kind, body := range documents {
			if body == "" {
				continue
			}
			if err := tx.PutBucketDocument(c.ctx(), c.name, kind, body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.name)
	return c.done(http.StatusOK)
}

// bucketExists answers for a name that is taken. As in AWS, one's own bucket may be
// created again in us-east-1, which changes nothing.
func (c *call) bucketExists(tx *store.Tx) error {
	b, err := tx.Bucket(c.ctx(), c.name)
	switch {
	case err != nil:
		return err
	case b.Account != c.caller.Account:
		return fault.New("BucketAlreadyExists", "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.")
	case b.Region == "us-east-1" && c.caller.Region == "us-east-1":
		return nil
	default:
		return fault.New("BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	}
}

func (c *call) bucketRegion(constraint string) (string, error) {
	switch {
	case constraint == "":
		return c.caller.Region, nil
	case constraint == "EU":
		constraint = "eu-west-1"
	case !regionName().MatchString(constraint):
		return "", fault.New("InvalidLocationConstraint", "The specified location-constraint is not valid")
	}
	// The us-east-1 endpoint makes buckets everywhere, the others at home.
	if c.caller.Region != "us-east-1" && c.caller.Region != constraint {
		return "", fault.New("IllegalLocationConstraintException", "The %s location constraint is incompatible for the region specific endpoint this request was sent to.", constraint)
	}
	return constraint, nil
}

func (c *call) headBucket() error {
	c.w.Header().Set("Content-Type", "application/xml")
	return c.done(http.StatusOK)
}

func (c *call) deleteBucket() error {
	var freed []string
	err := c.db.Update(c.ctx(), func(tx *store.Tx) error {
		if err := tx.LockBucket(c.ctx(), c.name); err != nil {
			return err
		}
		empty, err := tx.BucketEmpty(c.ctx(), c.name)
		if err != nil {
			return err
		}
		if !empty {
			return fault.New("BucketNotEmpty", "The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
		}
		freed, err = tx.DeleteBucket(c.ctx(), c.name)
		return err
	})
	if err != nil {
		return err
	}
	c.free(freed)
	return c.done(http.StatusNoContent)
}

type owner struct {
	ID          string
	DisplayName string `xml:",omitempty"`
}

type bucketElement struct {
	Name         string
	CreationDate string
	BucketRegion string
}

func (c *call) listBuckets() error {
	max, err := c.number("max-buckets", 10_000, 1, 10_000)
	if err != nil {
		return err
	}
	prefix, region := c.query.Get("prefix"), c.query.Get("bucket-region")
	if prefix != "" && !printable(prefix) {
		return invalidArgument("Invalid prefix")
	}
	from := prefix
	if token := c.query.Get("continuation-token"); token != "" {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || !bucketName().Match(b) {
			return invalidArgument("The continuation token provided is incorrect")
		}
		from = string(b)
	}
	var buckets []store.Bucket
	more := ""
	err = c.db.View(c.ctx(), func(tx *store.Tx) error {
		buckets, more = nil, ""
		for next := from; ; {
			page, err := tx.Buckets(c.ctx(), c.caller.Account, next, 1000)
			if err != nil {
				return err
			}
			for _, b := range page {
				next = b.Name + "\x01"
				if !strings.HasPrefix(b.Name, prefix) || region != "" && b.Region != region {
					continue
				}
				if len(buckets) == max {
					more = b.Name
					return nil
				}
				buckets = append(buckets, b)
			}
			if len(page) < 1000 {
				return nil
			}
		}
	})
	if err != nil {
		return err
	}
	out := struct {
		XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Owner             owner
		Buckets           []bucketElement `xml:"Buckets>Bucket"`
		Prefix            string          `xml:",omitempty"`
		ContinuationToken string          `xml:",omitempty"`
	}{Owner: c.owner(), Prefix: prefix}
	for _, b := range buckets {
		out.Buckets = append(out.Buckets, bucketElement{b.Name, stamp(b.Created), b.Region})
	}
	if more != "" {
		out.ContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(more))
	}
	c.writeXML(http.StatusOK, out)
	return nil
}

func (c *call) getLocation() error {
	out := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{}
	if c.bucket.Region != "us-east-1" {
		out.Region = c.bucket.Region
	}
	c.writeXML(http.StatusOK, out)
	return nil
}

func (c *call) getVersioning() error {
	c.writeXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
		Status  string   `xml:",omitempty"`
	}{Status: c.bucket.Versioning})
	return nil
}

func (c *call) putVersioning() error {
	var in struct{ Status, MfaDelete string }
	found, err := c.readXML(maxXML, "VersioningConfiguration", &in)
	switch {
	case err != nil:
		return err
	case !found:
		return malformedXML()
	case in.MfaDelete == "Enabled":
		return notImplemented("MfaDelete")
	case in.Status != "Enabled" && in.Status != "Suspended":
		return fault.New("IllegalVersioningConfigurationException", "The Versioning element must be specified")
	}
	err = c.db.Update(c.ctx(), func(tx *store.Tx) error {
		if err := tx.LockBucket(c.ctx(), c.name); err != nil {
			return err
		}
		return tx.SetBucketVersioning(c.ctx(), c.name, in.Status)
	})
	if err != nil {
		return err
	}
	return c.done(http.StatusOK)
}
