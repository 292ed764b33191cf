package s3

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"penstock/internal/fault"
	"penstock/internal/store"
)

// document is a sub-resource of a bucket that is kept as the text it was given.
type document struct {
	// param names the sub-resource in the query and in the database.
	param string
	// suffix completes the names of the operations: GetBucket… or Get….
	suffix string
	// read and write are the IAM actions; without write the document cannot be set.
	read, write string
	root        string
	// missing is the answer to reading what was never set: a fault, or a document.
	missing  error
	fallback string
	// deletable tells that DELETE is an operation.
	deletable bool
	check     func([]byte) error
}

func missing(code, message string) error { return fault.New(code, "%s", message) }

// documents are the sub-resource reads that Terraform makes of every bucket (N-6), and
// those that configure artifact buckets (N-3).
var documents = []document{
	{param: "policy", suffix: "BucketPolicy", read: "s3:GetBucketPolicy", write: "s3:PutBucketPolicy", deletable: true,
		missing: missing("NoSuchBucketPolicy", "The bucket policy does not exist"), check: checkPolicy},
	{param: "cors", suffix: "BucketCors", read: "s3:GetBucketCORS", write: "s3:PutBucketCORS", root: "CORSConfiguration", deletable: true,
		missing: missing("NoSuchCORSConfiguration", "The CORS configuration does not exist")},
	{param: "encryption", suffix: "BucketEncryption", read: "s3:GetEncryptionConfiguration", write: "s3:PutEncryptionConfiguration",
		root: "ServerSideEncryptionConfiguration", deletable: true, check: checkEncryption,
		missing: missing("ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found")},
	{param: "publicAccessBlock", suffix: "PublicAccessBlock", read: "s3:GetBucketPublicAccessBlock", write: "s3:PutBucketPublicAccessBlock",
		root: "PublicAccessBlockConfiguration", deletable: true,
		missing: missing("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")},
	{param: "ownershipControls", suffix: "BucketOwnershipControls", read: "s3:GetBucketOwnershipControls", write: "s3:PutBucketOwnershipControls",
		root: "OwnershipControls", deletable: true, check: checkOwnership,
		missing: missing("OwnershipControlsNotFoundError", "The bucket ownership controls were not found")},
	{param: notificationDocument, suffix: "BucketNotificationConfiguration", read: "s3:GetBucketNotification", write: "s3:PutBucketNotification",
		root: "NotificationConfiguration", check: checkNotification, fallback: `<NotificationConfiguration xmlns="` + namespace + `"/>`},
	{param: "website", suffix: "BucketWebsite", read: "s3:GetBucketWebsite",
		missing: missing("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration")},
	{param: "accelerate", suffix: "BucketAccelerateConfiguration", read: "s3:GetAccelerateConfiguration",
		fallback: `<AccelerateConfiguration xmlns="` + namespace + `"/>`},
	{param: "requestPayment", suffix: "BucketRequestPayment", read: "s3:GetBucketRequestPayment",
		fallback: `<RequestPaymentConfiguration xmlns="` + namespace + `"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>`},
	{param: "logging", suffix: "BucketLogging", read: "s3:GetBucketLogging",
		fallback: `<BucketLoggingStatus xmlns="` + namespace + `"/>`},
	{param: "lifecycle", suffix: "BucketLifecycleConfiguration", read: "s3:GetLifecycleConfiguration",
		missing: missing("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")},
	{param: "replication", suffix: "BucketReplication", read: "s3:GetReplicationConfiguration",
		missing: missing("ReplicationConfigurationNotFoundError", "The replication configuration was not found")},
	{param: "object-lock", suffix: "ObjectLockConfiguration", read: "s3:GetBucketObjectLockConfiguration",
		missing: missing("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")},
}

func documentOperations() (list []operation) {
	for i := range documents {
		d := &documents[i]
		list = append(list, operation{level: bucketLevel, method: http.MethodGet, param: d.param, name: "Get" + d.suffix,
			action: d.read, run: func(c *call) error { return c.getDocument(d) }})
		if d.write != "" {
			list = append(list, operation{level: bucketLevel, method: http.MethodPut, param: d.param, name: "Put" + d.suffix,
				action: d.write, run: func(c *call) error { return c.putDocument(d) }})
		}
		if d.deletable {
			action := d.write
			if d.param == "policy" {
				action = "s3:DeleteBucketPolicy"
			}
			list = append(list, operation{level: bucketLevel, method: http.MethodDelete, param: d.param, name: "Delete" + d.suffix,
				action: action, run: func(c *call) error { return c.deleteDocument(d) }})
		}
	}
	return list
}

// document gives the kept text of a sub-resource, "" if there is none.
func (c *call) document(kind string) (text string, err error) {
	err = c.db.View(c.ctx(), func(tx *store.Tx) (err error) {
		text, err = tx.BucketDocument(c.ctx(), c.name, kind)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return text, err
}

func (c *call) getDocument(d *document) error {
	text, err := c.document(d.param)
	if err != nil {
		return err
	}
	if text == "" {
		if d.missing != nil {
			return d.missing
		}
		text = d.fallback
	}
	if d.root == "" && d.write != "" {
		c.writeBody(http.StatusOK, "application/json", []byte(text))
		return nil
	}
	c.writeBody(http.StatusOK, "application/xml", []byte(xml.Header+text))
	return nil
}

func (c *call) putDocument(d *document) error {
	text, err := c.readText(maxXML)
	if err != nil {
		return err
	}
	if d.root != "" {
		if err := checkXML(text, d.root); err != nil {
			return err
		}
		// The declaration is written anew at each answer.
		text = bytes.TrimSpace(text)
		if bytes.HasPrefix(text, []byte("<?xml")) {
			_, text, _ = bytes.Cut(text, []byte("?>"))
		}
	}
	if d.check != nil {
		if err := d.check(text); err != nil {
			return err
		}
	}
	err = c.db.Update(c.ctx(), func(tx *store.Tx) error {
		return tx.PutBucketDocument(c.ctx(), c.name, d.param, string(bytes.TrimSpace(text)))
	})
	if err != nil {
		return err
	}
	if d.param == "policy" {
		return c.done(http.StatusNoContent)
	}
	return c.done(http.StatusOK)
}

func (c *call) deleteDocument(d *document) error { return c.deleteKind(d.param) }

func (c *call) deleteKind(kind string) error {
	err := c.db.Update(c.ctx(), func(tx *store.Tx) error {
		return tx.DeleteBucketDocument(c.ctx(), c.name, kind)
	})
	if err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}

const maxPolicy = 20 << 10

func checkPolicy(text []byte) error {
	if len(text) > maxPolicy {
		return invalidArgument("Policy exceeds the maximum allowed document size.")
	}
	var policy struct{ Statement json.RawMessage }
	if err := json.Unmarshal(text, &policy); err != nil || len(policy.Statement) == 0 || !utf8.Valid(text) {
		return fault.New("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
	}
	return nil
}

type encryptionRule struct {
	Default struct {
		Algorithm string `xml:"SSEAlgorithm"`
		KeyID     string `xml:"KMSMasterKeyID"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKey bool `xml:"BucketKeyEnabled"`
}

func parseEncryption(text []byte) (encryptionRule, error) {
	var config struct{ Rule []encryptionRule }
	if err := xml.Unmarshal(text, &config); err != nil || len(config.Rule) != 1 {
		return encryptionRule{}, malformedXML()
	}
	rule := config.Rule[0]
	switch a := rule.Default.Algorithm; {
	case a != "AES256" && a != "aws:kms" && a != "aws:kms:dsse":
		return encryptionRule{}, malformedXML()
	case a == "AES256" && rule.Default.KeyID != "":
		return encryptionRule{}, invalidArgument("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
	case !headerSafe(rule.Default.KeyID):
		return encryptionRule{}, invalidArgument("Invalid KMSMasterKeyID")
	}
	return rule, nil
}

func checkEncryption(text []byte) error {
	_, err := parseEncryption(text)
	return err
}

// checkNotification takes events for EventBridge: nothing else is ever notified.
func checkNotification(text []byte) error {
	var config notified
	if err := xml.Unmarshal(text, &config); err != nil {
		return malformedXML()
	}
	if len(config.Others) > 0 {
		return notImplemented(config.Others[0].XMLName.Local)
	}
	return nil
}

var ownerships = []string{"BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"}

func validOwnership(s string) bool { return slices.Contains(ownerships, s) }

func ownershipDocument(s string) string {
	return `<OwnershipControls xmlns="` + namespace + `"><Rule><ObjectOwnership>` + s + `</ObjectOwnership></Rule></OwnershipControls>`
}

func checkOwnership(text []byte) error {
	var config struct {
		Rule []struct{ ObjectOwnership string }
	}
	if err := xml.Unmarshal(text, &config); err != nil || len(config.Rule) != 1 || !validOwnership(config.Rule[0].ObjectOwnership) {
		return malformedXML()
	}
	return nil
}

// getPolicyStatus is GetBucketPolicyStatus. Nobody is served without a signature, so no
// policy makes a bucket public.
func (c *call) getPolicyStatus() error {
	text, err := c.document("policy")
	if err != nil {
		return err
	}
	if text == "" {
		return missing("NoSuchBucketPolicy", "The bucket policy does not exist")
	}
	c.writeXML(http.StatusOK, struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PolicyStatus"`
		IsPublic bool
	}{})
	return nil
}

var unsafeInHeader = regexp.MustCompile(`[^ -~]`)

// headerSafe tells whether a text that came in a document may be answered in a header.
func headerSafe(s string) bool {
	return len(s) <= 2048 && !unsafeInHeader.MatchString(s) && strings.TrimSpace(s) == s
}
