package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"penstock/internal/fault"
	"penstock/internal/store"
)

var (
	objectACLs = []string{"private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"}
	bucketACLs = []string{"private", "public-read", "public-read-write", "authenticated-read", "log-delivery-write"}
	grants     = []string{"X-Amz-Grant-Full-Control", "X-Amz-Grant-Read", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write", "X-Amz-Grant-Write-Acp"}
)

// owner gives the caller's account as the canonical user that S3 has for it.
func (c *call) owner() owner {
	sum := sha256.Sum256([]byte("canonical user of account " + c.caller.Account))
	return owner{ID: hex.EncodeToString(sum[:]), DisplayName: c.caller.Account}
}

// cannedACL reads x-amz-acl. Grants to named users are not kept: access is decided by
// policies alone, and an ACL is only shown again.
func (c *call) cannedACL(known []string) (string, error) {
	for _, name := range grants {
		if c.r.Header.Get(name) != "" {
			return "", notImplemented(strings.ToLower(name))
		}
	}
	acl := c.r.Header.Get("X-Amz-Acl")
	if acl != "" && !slices.Contains(known, acl) {
		return "", invalidArgument("Invalid x-amz-acl header: %s", strings.ToValidUTF8(acl, "?"))
	}
	return acl, nil
}

// objectACL reads the ACL of an object to be and checks that the caller may set it.
func (c *call) objectACL() (string, error) {
	acl, err := c.cannedACL(objectACLs)
	if err != nil || acl == "" {
		return "", err
	}
	if err := c.check("s3:PutObjectAcl", c.name, c.key); err != nil {
		return "", err
	}
	return acl, c.aclAllowed(acl)
}

// aclAllowed refuses ACLs where ownership controls have switched them off. Those that
// give the owner everything are accepted all the same, as in S3.
func (c *call) aclAllowed(acl string) error {
	if acl == "private" || acl == "bucket-owner-full-control" {
		return nil
	}
	text, err := c.document("ownershipControls")
	if err != nil {
		return err
	}
	if strings.Contains(text, ">BucketOwnerEnforced<") {
		return fault.New("AccessControlListNotSupported", "The bucket does not allow ACLs")
	}
	return nil
}

type grantee struct {
	Attributes  []xml.Attr `xml:",any,attr"`
	ID          string     `xml:",omitempty"`
	DisplayName string     `xml:",omitempty"`
	URI         string     `xml:",omitempty"`
}

type grant struct {
	Grantee    grantee
	Permission string
}

type accessControlPolicy struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
	Owner   owner
	Grants  []grant `xml:"AccessControlList>Grant"`
}

func newGrantee(kind string) grantee {
	return grantee{Attributes: []xml.Attr{
		{Name: xml.Name{Local: "xmlns:xsi"}, Value: "http://www.w3.org/2001/XMLSchema-instance"},
		{Name: xml.Name{Local: "xsi:type"}, Value: kind},
	}}
}

// showACL answers the grants a canned ACL stands for.
func (c *call) showACL(acl string) error {
	me := c.owner()
	user := newGrantee("CanonicalUser")
	user.ID, user.DisplayName = me.ID, me.DisplayName
	out := accessControlPolicy{Owner: me, Grants: []grant{{user, "FULL_CONTROL"}}}
	group := func(path string, permissions ...string) {
		for _, p := range permissions {
			g := newGrantee("Group")
			g.URI = "http://acs.amazonaws.com/groups/" + path
			out.Grants = append(out.Grants, grant{g, p})
		}
	}
	switch acl {
	case "public-read":
		group("global/AllUsers", "READ")
	case "public-read-write":
		group("global/AllUsers", "READ", "WRITE")
	case "authenticated-read":
		group("global/AuthenticatedUsers", "READ")
	case "log-delivery-write":
		group("s3/LogDelivery", "WRITE", "READ_ACP")
	}
	c.writeXML(http.StatusOK, out)
	return nil
}

// newACL reads the ACL of a PutBucketAcl or PutObjectAcl: a canned one, or a document
// that says no more than private does.
func (c *call) newACL(known []string) (string, error) {
	acl, err := c.cannedACL(known)
	if err != nil {
		return "", err
	}
	var in struct {
		Grants []grant `xml:"AccessControlList>Grant"`
	}
	found, err := c.readXML(maxXML, "AccessControlPolicy", &in)
	switch {
	case err != nil:
		return "", err
	case found && acl != "":
		return "", fault.New("UnexpectedContent", "This request does not support content")
	case acl != "":
		return acl, c.aclAllowed(acl)
	case !found:
		return "", fault.New("MissingSecurityHeader", "Your request was missing a required header")
	}
	for _, g := range in.Grants {
		if g.Grantee.ID != c.owner().ID || g.Permission != "FULL_CONTROL" {
			return "", notImplemented("grants to others than the owner")
		}
	}
	return "private", nil
}

func (c *call) getBucketACL() error {
	acl, err := c.document("acl")
	if err != nil {
		return err
	}
	return c.showACL(acl)
}

func (c *call) putBucketACL() error {
	acl, err := c.newACL(bucketACLs)
	if err != nil {
		return err
	}
	err = c.db.Update(c.ctx(), func(tx *store.Tx) error {
		return tx.PutBucketDocument(c.ctx(), c.name, "acl", acl)
	})
	if err != nil {
		return err
	}
	return c.done(http.StatusOK)
}

func (c *call) getObjectACL() error {
	o, err := c.find()
	if err != nil {
		return err
	}
	c.showVersion(o)
	return c.showACL(o.ACL)
}

func (c *call) putObjectACL() error {
	acl, err := c.newACL(objectACLs)
	if err != nil {
		return err
	}
	o, err := c.find()
	if err != nil {
		return err
	}
	err = c.db.Update(c.ctx(), func(tx *store.Tx) error { return tx.SetObjectACL(c.ctx(), o, acl) })
	if err != nil {
		return err
	}
	c.showVersion(o)
	return c.done(http.StatusOK)
}
