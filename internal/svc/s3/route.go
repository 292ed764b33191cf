package s3

import (
	"net"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"penstock/internal/fault"
)

// level is what a request addresses.
type level int

const (
	service level = iota
	bucketLevel
	objectLevel
)

// operation is one S3 operation: when it is meant, what it needs, what it does.
type operation struct {
	level  level
	method string
	// param is the query parameter that tells the operation from the others of the level
	// and method; value, if not empty, its value; header a header that must be there.
	param, value, header string
	name                 string
	// action is the IAM action that the caller must be allowed on what the request
	// addresses; ofVersion takes its place if the request names a version.
	action, ofVersion string
	run               func(*call) error
}

func (o *operation) actionFor(c *call) string {
	if c.version != "" && o.ofVersion != "" {
		return o.ofVersion
	}
	return o.action
}

// operations are tried from top to bottom (N-3). Sub-resources of a bucket that are kept
// as documents are added to it by documents.go.
var operations []operation

func init() {
	get, put, post, del, head := http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodHead
	operations = append(operations, []operation{
		{service, get, "", "", "", "ListBuckets", "s3:ListAllMyBuckets", "", (*call).listBuckets},

		{objectLevel, get, "uploadId", "", "", "ListParts", "s3:ListMultipartUploadParts", "", (*call).listParts},
		{objectLevel, get, "acl", "", "", "GetObjectAcl", "s3:GetObjectAcl", "s3:GetObjectVersionAcl", (*call).getObjectACL},
		{objectLevel, put, "acl", "", "", "PutObjectAcl", "s3:PutObjectAcl", "s3:PutObjectVersionAcl", (*call).putObjectACL},
		{objectLevel, get, "tagging", "", "", "GetObjectTagging", "s3:GetObjectTagging", "s3:GetObjectVersionTagging", (*call).getObjectTagging},
		{objectLevel, put, "tagging", "", "", "PutObjectTagging", "s3:PutObjectTagging", "s3:PutObjectVersionTagging", (*call).putObjectTagging},
		{objectLevel, del, "tagging", "", "", "DeleteObjectTagging", "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging", (*call).deleteObjectTagging},
		{objectLevel, get, "attributes", "", "", "GetObjectAttributes", "s3:GetObject", "s3:GetObjectVersion", (*call).getObjectAttributes},
		{objectLevel, post, "uploads", "", "", "CreateMultipartUpload", "s3:PutObject", "", (*call).createUpload},
		{objectLevel, put, "partNumber", "", "X-Amz-Copy-Source", "UploadPartCopy", "s3:PutObject", "", (*call).uploadPartCopy},
		{objectLevel, put, "partNumber", "", "", "UploadPart", "s3:PutObject", "", (*call).uploadPart},
		{objectLevel, post, "uploadId", "", "", "CompleteMultipartUpload", "s3:PutObject", "", (*call).completeUpload},
		{objectLevel, del, "uploadId", "", "", "AbortMultipartUpload", "s3:AbortMultipartUpload", "", (*call).abortUpload},
		{objectLevel, put, "", "", "X-Amz-Copy-Source", "CopyObject", "s3:PutObject", "", (*call).copyObject},
		{objectLevel, get, "", "", "", "GetObject", "s3:GetObject", "s3:GetObjectVersion", (*call).getObject},
		{objectLevel, head, "", "", "", "HeadObject", "s3:GetObject", "s3:GetObjectVersion", (*call).getObject},
		{objectLevel, put, "", "", "", "PutObject", "s3:PutObject", "", (*call).putObject},
		{objectLevel, del, "", "", "", "DeleteObject", "s3:DeleteObject", "s3:DeleteObjectVersion", (*call).deleteObject},

		{bucketLevel, get, "location", "", "", "GetBucketLocation", "s3:GetBucketLocation", "", (*call).getLocation},
		{bucketLevel, get, "versioning", "", "", "GetBucketVersioning", "s3:GetBucketVersioning", "", (*call).getVersioning},
		{bucketLevel, put, "versioning", "", "", "PutBucketVersioning", "s3:PutBucketVersioning", "", (*call).putVersioning},
		{bucketLevel, get, "acl", "", "", "GetBucketAcl", "s3:GetBucketAcl", "", (*call).getBucketACL},
		{bucketLevel, put, "acl", "", "", "PutBucketAcl", "s3:PutBucketAcl", "", (*call).putBucketACL},
		{bucketLevel, get, "tagging", "", "", "GetBucketTagging", "s3:GetBucketTagging", "", (*call).getBucketTagging},
		{bucketLevel, put, "tagging", "", "", "PutBucketTagging", "s3:PutBucketTagging", "", (*call).putBucketTagging},
		{bucketLevel, del, "tagging", "", "", "DeleteBucketTagging", "s3:PutBucketTagging", "", (*call).deleteBucketTagging},
		{bucketLevel, get, "policyStatus", "", "", "GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", "", (*call).getPolicyStatus},
		{bucketLevel, get, "uploads", "", "", "ListMultipartUploads", "s3:ListBucketMultipartUploads", "", (*call).listUploads},
		{bucketLevel, get, "versions", "", "", "ListObjectVersions", "s3:ListBucketVersions", "", (*call).listVersions},
		// Every key is checked for itself.
		{bucketLevel, post, "delete", "", "", "DeleteObjects", "", "", (*call).deleteObjects},
	}...)
	operations = append(operations, documentOperations()...)
	operations = append(operations, []operation{
		{bucketLevel, get, "list-type", "2", "", "ListObjectsV2", "s3:ListBucket", "", (*call).listObjectsV2},
		{bucketLevel, get, "", "", "", "ListObjects", "s3:ListBucket", "", (*call).listObjects},
		{bucketLevel, head, "", "", "", "HeadBucket", "s3:ListBucket", "", (*call).headBucket},
		{bucketLevel, put, "", "", "", "CreateBucket", "s3:CreateBucket", "", (*call).createBucket},
		{bucketLevel, del, "", "", "", "DeleteBucket", "s3:DeleteBucket", "", (*call).deleteBucket},
	}...)
}

// Operations gives the names of the operations that are served, those of S3 Control among them,
// in no particular order.
func Operations() []string {
	names := []string{"S3Control.ListTagsForResource", "S3Control.TagResource", "S3Control.UntagResource"}
	for _, o := range operations {
		names = append(names, o.name)
	}
	return names
}

// unknown are the sub-resources of S3 that are not served. A request for one must not be
// taken for one without.
var unknown = []string{
	"accelerate", "acl", "analytics", "cors", "delete", "encryption", "intelligent-tiering", "inventory",
	"legal-hold", "lifecycle", "location", "logging", "metadataTable", "metadataConfiguration", "metrics", "notification", "object-lock",
	"ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment",
	"restore", "retention", "select", "session", "tagging", "torrent", "uploadId", "uploads", "versioning",
	"website", "renameObject",
}

// unserved are headers of requests that nothing here acts on: keys of the customer's, and
// conditions of directory buckets. Who sends one must not believe that it was kept to.
var unserved = []string{
	"X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Server-Side-Encryption-Customer-Key-Md5",
	"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key",
	"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key-Md5",
	"X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size", "X-Amz-If-Match-Initiated-Time", "X-Amz-Write-Offset-Bytes",
}

// checkHeaders refuses a request with one of the unserved headers.
func (c *call) checkHeaders() error {
	for _, name := range unserved {
		if c.r.Header.Get(name) != "" {
			return notImplemented(strings.ToLower(name))
		}
	}
	return nil
}

func (c *call) operation() (*operation, error) {
	at := service
	switch {
	case c.key != "":
		at = objectLevel
	case c.name != "":
		at = bucketLevel
	}
	for i := range operations {
		o := &operations[i]
		if o.level != at || o.method != c.r.Method || o.header != "" && c.r.Header.Get(o.header) == "" {
			continue
		}
		if o.param != "" {
			if c.query.Has(o.param) && (o.value == "" || o.value == c.query.Get(o.param)) {
				return o, nil
			}
			continue
		}
		for _, p := range unknown {
			if c.query.Has(p) {
				return nil, notImplemented(c.r.Method + " ?" + p)
			}
		}
		return o, nil
	}
	return nil, methodNotAllowed()
}

var amazonHost = regexp.MustCompile(`^(?:(.+)\.)?s3[.-](?:dualstack\.)?(?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?$`)

// address finds bucket and key: in the path, or the bucket in front of a name of this
// server (N-5).
func (c *call) address() (bucket, key string, err error) {
	path := strings.TrimPrefix(c.r.URL.Path, "/")
	if !utf8.ValidString(path) || strings.IndexByte(path, 0) >= 0 {
		return "", "", fault.New("InvalidURI", "Couldn't parse the specified URI.")
	}
	if bucket = c.HostBucket(c.r.Host); bucket != "" {
		key = path
	} else {
		bucket, key, _ = strings.Cut(path, "/")
	}
	if len(key) > 1024 {
		return "", "", fault.New("KeyTooLongError", "Your key is too long")
	}
	return bucket, key, nil
}

// HostBucket gives the bucket that a Host header names in front of a name of this server,
// or "" when the path names it (N-5).
func (s *Room) HostBucket(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, name := range s.hosts {
		if host == name {
			return ""
		}
		if bucket, ok := strings.CutSuffix(host, "."+name); ok {
			return bucket
		}
	}
	if m := amazonHost.FindStringSubmatch(host); m != nil {
		return m[1]
	}
	return ""
}
