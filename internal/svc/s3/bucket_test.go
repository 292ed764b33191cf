package s3_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

func (s *server) version(c *s3.Client, bucket, state string) {
	s.t.Helper()
	must(s.t)(c.PutBucketVersioning(s.t.Context(), &s3.PutBucketVersioningInput{Bucket: &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatus(state)}}))
}

// N-3.
func TestBucketLife(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx := s.client(admin), t.Context()
	name := aws.String("my-bucket")
	_, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: name})
	refused(t, err, 404, "NotFound")
	out := ok(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name}))(t)
	if *out.Location != "/my-bucket" {
		t.Errorf("Location %q", *out.Location)
	}
	// As in AWS, again is fine in us-east-1 only.
	must(t)(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name}))
	west := s.client(admin, func(o *s3.Options) { o.Region = "eu-west-1" })
	eu := &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}
	must(t)(west.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("west"), CreateBucketConfiguration: eu}))
	_, err = west.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("west"), CreateBucketConfiguration: eu})
	refused(t, err, 409, "BucketAlreadyOwnedByYou")
	_, err = s.client(other).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name})
	refused(t, err, 409, "BucketAlreadyExists")
	_, err = west.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("third"),
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-north-1"}})
	refused(t, err, 400, "IllegalLocationConstraintException")

	head := ok(c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("west")}))(t)
	if aws.ToString(head.BucketRegion) != "eu-west-1" { // N-5
		t.Errorf("x-amz-bucket-region %q", aws.ToString(head.BucketRegion))
	}
	for bucket, want := range map[string]types.BucketLocationConstraint{"west": "eu-west-1", "my-bucket": ""} {
		loc := ok(c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &bucket}))(t)
		if loc.LocationConstraint != want {
			t.Errorf("location of %s: %q", bucket, loc.LocationConstraint)
		}
	}
	list := ok(c.ListBuckets(ctx, &s3.ListBucketsInput{}))(t)
	if len(list.Buckets) != 2 || *list.Buckets[0].Name != "my-bucket" || list.Buckets[1].CreationDate.IsZero() {
		t.Errorf("ListBuckets: %+v", list.Buckets)
	}
	page := ok(c.ListBuckets(ctx, &s3.ListBucketsInput{MaxBuckets: aws.Int32(1)}))(t)
	rest := ok(c.ListBuckets(ctx, &s3.ListBucketsInput{ContinuationToken: page.ContinuationToken}))(t)
	if len(page.Buckets) != 1 || len(rest.Buckets) != 1 || *rest.Buckets[0].Name != "west" || rest.ContinuationToken != nil {
		t.Errorf("pages of buckets: %+v, %+v", page, rest)
	}

	if w := s.raw("GET", "/?prefix=%ff%00", nil); w.Code != 400 {
		t.Errorf("a prefix that no bucket can have: %d %s", w.Code, code(w))
	}

	s.put(c, "my-bucket", "k", "x")
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
	refused(t, err, 409, "BucketNotEmpty")
	must(t)(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: aws.String("k")}))
	must(t)(c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name}))
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
	refused(t, err, 404, "NoSuchBucket")
	_, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: name})
	refused(t, err, 404, "NoSuchBucket")
}

func TestBucketNames(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, name := range []string{"ab", "Upper", "under_score", "-a-b", "a-b-", "a..b", "192.168.1.1", "xn--abc", "a-s3alias", strings.Repeat("a", 64), "a%2F..%2Fb"} {
		if w := s.raw("PUT", "/"+name, nil); w.Code != 400 || code(w) != "InvalidBucketName" {
			if !strings.Contains(name, "%2F") { // that is an object's path
				t.Errorf("%s: %d %s", name, w.Code, code(w))
			}
		}
	}
	for _, name := range []string{"abc", "a.b.c", "1-2", strings.Repeat("a", 63)} {
		if w := s.raw("PUT", "/"+name, nil); w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, code(w))
		}
	}
}

// N-3, S-54: what another account owns is refused, whatever the caller may do in its own.
func TestAccountsAreApart(t *testing.T) {
	t.Parallel()
	s := start(t)
	mine, theirs, ctx := s.client(admin), s.client(other), t.Context()
	s.bucket(mine, "mine", "Enabled")
	s.put(mine, "mine", "k", "secret")
	s.bucket(theirs, "theirs", "")
	b, k := aws.String("mine"), aws.String("k")
	_, err := theirs.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k})
	refused(t, err, 403, "AccessDenied")
	_, err = theirs.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("x")})
	refused(t, err, 403, "AccessDenied")
	_, err = theirs.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b})
	refused(t, err, 403, "AccessDenied")
	_, err = theirs.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("theirs"), Key: k, CopySource: aws.String("mine/k")})
	refused(t, err, 403, "AccessDenied")
	if list := ok(theirs.ListBuckets(ctx, &s3.ListBucketsInput{}))(t); len(list.Buckets) != 1 {
		t.Errorf("the other account sees %d buckets", len(list.Buckets))
	}
	_, err = mine.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: b, ExpectedBucketOwner: aws.String("222222222222")})
	refused(t, err, 403, "Forbidden")
}

// N-3: every operation asks for its own permission, on the resolved resource.
func TestPermissions(t *testing.T) {
	t.Parallel()
	s := start(t)
	a, l, ctx := s.client(admin), s.client(limited), t.Context()
	s.bucket(a, "shared", "")
	s.put(a, "shared", "closed/k", "x")
	s.put(l, "shared", "open/k", "y")
	if got := s.read(l, "shared", "open/k", ""); got != "y" {
		t.Errorf("read %q", got)
	}
	b := aws.String("shared")
	_, err := l.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("closed/k")})
	refused(t, err, 403, "AccessDenied")
	if err == nil || !strings.Contains(err.Error(), "is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::shared/closed/k") {
		t.Errorf("the refusal does not name what is missing: %v", err)
	}
	// Without s3:ListBucket nobody learns whether a key exists.
	_, err = l.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("open/none")})
	refused(t, err, 403, "AccessDenied")
	_, err = l.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b})
	refused(t, err, 403, "AccessDenied")
	_, err = l.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("open/c"), CopySource: aws.String("shared/closed/k")})
	refused(t, err, 403, "AccessDenied")
	_, err = l.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("open/t"), Body: strings.NewReader("x"), Tagging: aws.String("a=b")})
	refused(t, err, 403, "AccessDenied")
	_, err = l.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("new-one")})
	refused(t, err, 403, "AccessDenied")
	_, err = l.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("open/k"), VersionId: aws.String("null")})
	refused(t, err, 403, "AccessDenied")
	out := ok(l.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("closed/k")}, {Key: aws.String("open/k")}}}}))(t)
	if len(out.Deleted) != 1 || len(out.Errors) != 1 || *out.Errors[0].Code != "AccessDenied" || *out.Deleted[0].Key != "open/k" {
		t.Errorf("DeleteObjects: %+v %+v", out.Deleted, out.Errors)
	}
	must(t)(l.ListBuckets(ctx, &s3.ListBucketsInput{}))
}

// N-6: the twelve reads that Terraform makes of a new bucket.
func TestSubresourceReads(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "b1x", "")
	for query, want := range map[string]string{
		"policy": "404 NoSuchBucketPolicy", "acl": "200 ", "cors": "404 NoSuchCORSConfiguration",
		"website": "404 NoSuchWebsiteConfiguration", "versioning": "200 ", "accelerate": "200 ", "requestPayment": "200 ",
		"logging": "200 ", "lifecycle": "404 NoSuchLifecycleConfiguration", "replication": "404 ReplicationConfigurationNotFoundError",
		"encryption":  "404 ServerSideEncryptionConfigurationNotFoundError",
		"object-lock": "404 ObjectLockConfigurationNotFoundError", "publicAccessBlock": "404 NoSuchPublicAccessBlockConfiguration",
		"ownershipControls": "404 OwnershipControlsNotFoundError", "tagging": "404 NoSuchTagSet", "notification": "200 ",
		"analytics": "501 NotImplemented", "inventory": "501 NotImplemented",
	} {
		w := s.raw("GET", "/b1x?"+query, nil)
		if got := fmt.Sprint(w.Code, " ", code(w)); got != want {
			t.Errorf("?%s: %s, want %s", query, got, want)
		}
	}
	// What is not done is not accepted.
	for _, query := range []string{"lifecycle", "replication", "website", "object-lock", "logging"} {
		if w := s.raw("PUT", "/b1x?"+query, []byte("<X/>")); w.Code != 501 {
			t.Errorf("PUT ?%s: %d %s", query, w.Code, code(w))
		}
	}
}

func TestBucketDocuments(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b := s.client(admin), t.Context(), aws.String("docs")
	s.bucket(c, "docs", "")
	text := `{"Version":"2012-10-17","Statement":[]}`
	must(t)(c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: b, Policy: &text}))
	if out := ok(c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: b}))(t); *out.Policy != text {
		t.Errorf("policy %q", *out.Policy)
	}
	if out := ok(c.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: b}))(t); *out.PolicyStatus.IsPublic {
		t.Error("the bucket is shown as public")
	}
	must(t)(c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: b}))
	_, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: b})
	refused(t, err, 404, "NoSuchBucketPolicy")
	_, err = c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: b, Policy: aws.String("{")})
	refused(t, err, 400, "MalformedPolicy")
	if w := s.raw("PUT", "/docs?policy", []byte("{\"Statement\":[],\"Id\":\"\xff\"}")); code(w) != "MalformedPolicy" {
		t.Errorf("a policy that is not UTF-8: %d %s", w.Code, code(w))
	}

	block := &types.PublicAccessBlockConfiguration{BlockPublicAcls: aws.Bool(true), IgnorePublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true), RestrictPublicBuckets: aws.Bool(false)}
	must(t)(c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: block}))
	if out := ok(c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: b}))(t); !*out.PublicAccessBlockConfiguration.BlockPublicAcls || *out.PublicAccessBlockConfiguration.RestrictPublicBuckets {
		t.Errorf("public access block: %+v", out.PublicAccessBlockConfiguration)
	}
	must(t)(c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: b}))

	must(t)(c.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: b, OwnershipControls: &types.OwnershipControls{
		Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}}}}))
	if out := ok(c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: b}))(t); out.OwnershipControls.Rules[0].ObjectOwnership != types.ObjectOwnershipBucketOwnerEnforced {
		t.Errorf("ownership: %+v", out.OwnershipControls)
	}
	_, err = c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, ACL: types.BucketCannedACLPublicRead})
	refused(t, err, 400, "AccessControlListNotSupported")

	must(t)(c.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: b,
		NotificationConfiguration: &types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}}}))
	if out := ok(c.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: b}))(t); out.EventBridgeConfiguration == nil {
		t.Error("the EventBridge configuration was lost")
	}

	_, err = c.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: b, NotificationConfiguration: &types.NotificationConfiguration{
		QueueConfigurations: []types.QueueConfiguration{{QueueArn: aws.String("arn:aws:sqs:r:1:q"), Events: []types.Event{"s3:ObjectCreated:*"}}}}})
	refused(t, err, 501, "NotImplemented")

	must(t)(c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: b, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}}}))
	if out := ok(c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b}))(t); len(out.TagSet) != 1 || *out.TagSet[0].Value != "1" {
		t.Errorf("tags: %+v", out.TagSet)
	}
	must(t)(c.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: b}))
	_, err = c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b})
	refused(t, err, 404, "NoSuchTagSet")

	must(t)(c.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: b, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: aws.String("alias/k")}}}}}))
	// The bucket's default is what an object without headers gets.
	if out := s.put(c, "docs", "k", "x"); out.ServerSideEncryption != types.ServerSideEncryptionAwsKms || aws.ToString(out.SSEKMSKeyId) != "alias/k" {
		t.Errorf("default encryption: %+v", out)
	}
	if out := s.put(c, "docs", "k", "x", func(in *s3.PutObjectInput) { in.ServerSideEncryption = "AES256" }); out.ServerSideEncryption != "AES256" || out.SSEKMSKeyId != nil {
		t.Errorf("own encryption: %+v", out)
	}
	must(t)(c.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: b}))
}

func TestACLs(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, ctx, b, k := s.client(admin), t.Context(), aws.String("acls"), aws.String("k")
	s.bucket(c, "acls", "")
	s.put(c, "acls", "k", "x", func(in *s3.PutObjectInput) { in.ACL = types.ObjectCannedACLPublicRead })
	out := ok(c.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: b, Key: k}))(t)
	if len(out.Grants) != 2 || out.Grants[0].Grantee.Type != types.TypeCanonicalUser || out.Grants[1].Permission != types.PermissionRead ||
		aws.ToString(out.Grants[1].Grantee.URI) != "http://acs.amazonaws.com/groups/global/AllUsers" {
		t.Errorf("grants: %+v", out.Grants)
	}
	// The policy that was read can be written again once only the owner is left in it.
	must(t)(c.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: b, Key: k, AccessControlPolicy: &types.AccessControlPolicy{Owner: out.Owner, Grants: out.Grants[:1]}}))
	if out := ok(c.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: b, Key: k}))(t); len(out.Grants) != 1 {
		t.Errorf("grants: %+v", out.Grants)
	}
	must(t)(c.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: b, Key: k, ACL: types.ObjectCannedACLBucketOwnerFullControl}))
	must(t)(c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, ACL: "log-delivery-write"}))
	if out := ok(c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: b}))(t); len(out.Grants) != 3 {
		t.Errorf("grants: %+v", out.Grants)
	}
	_, err := c.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: b, Key: k, ACL: "strange"})
	refused(t, err, 400, "InvalidArgument")
}

// N-6: the configuration of a new bucket may hold only tags.
func TestCreateBucketWithTags(t *testing.T) {
	t.Parallel()
	s := start(t)
	w := s.raw("PUT", "/tagged", []byte(`<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags></CreateBucketConfiguration>`))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w = s.raw("GET", "/tagged?tagging", nil); !strings.Contains(w.Body.String(), "<Tag><Key>a</Key><Value>1</Value></Tag>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// N-7.
func TestControlTags(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.bucket(s.client(admin), "ctl", "")
	const arn = "/v20180820/tags/arn%3Aaws%3As3%3A%3A%3Actl"
	account := []string{"X-Amz-Account-Id", "111111111111", "Host", "111111111111.penstock.test"}
	list := func() string {
		t.Helper()
		w := s.raw("GET", arn, nil, account...)
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		_, text, _ := strings.Cut(w.Body.String(), "\n")
		return text
	}
	const begin = `<ListTagsForResourceResult xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Tags>`
	const end = `</Tags></ListTagsForResourceResult>`
	if diff := cmp.Diff(begin+end, list()); diff != "" {
		t.Error(diff)
	}
	tag := func(k, v string) {
		t.Helper()
		w := s.raw("POST", arn, []byte(`<TagResourceRequest xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Tags><Tag><Key>`+k+`</Key><Value>`+v+`</Value></Tag></Tags></TagResourceRequest>`), account...)
		if w.Code != 204 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	tag("a", "1")
	tag("b", "2")
	tag("a", "3")
	if diff := cmp.Diff(begin+`<Tag><Key>a</Key><Value>3</Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag>`+end, list()); diff != "" {
		t.Error(diff)
	}
	if w := s.raw("DELETE", arn+"?tagKeys=a&tagKeys=none", nil, account...); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if diff := cmp.Diff(begin+`<Tag><Key>b</Key><Value>2</Value></Tag>`+end, list()); diff != "" {
		t.Error(diff)
	}
	if w := s.raw("GET", "/v20180820/configuration/publicAccessBlock", nil, account...); w.Code != 405 || code(w) != "MethodNotAllowed" {
		t.Errorf("the rest of S3 Control: %d %s", w.Code, code(w))
	}
	if w := s.raw("GET", arn, nil, "X-Amz-Account-Id", "222222222222"); w.Code != 403 {
		t.Errorf("another account: %d %s", w.Code, code(w))
	}
	// A bucket may have the name all the same.
	if w := s.raw("PUT", "/v20180820", nil); w.Code != 200 {
		t.Errorf("%d %s", w.Code, code(w))
	}
}

// N-5.
func TestAddressing(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(admin)
	s.bucket(c, "my.dotted", "")
	s.put(c, "my.dotted", "dir/k", "found")
	for _, at := range [][2]string{
		{"127.0.0.1:7788", "/my.dotted/dir/k"}, {"localhost:7788", "/my.dotted/dir/k"}, {"s3.localhost", "/my.dotted/dir/k"},
		{"penstock.test", "/my.dotted/dir/k"}, {"s3.us-east-1.amazonaws.com", "/my.dotted/dir/k"}, {"elsewhere.example", "/my.dotted/dir/k"},
		{"my.dotted.s3.localhost:7788", "/dir/k"}, {"my.dotted.localhost", "/dir/k"}, {"My.Dotted.Penstock.Test:80", "/dir/k"},
		{"my.dotted.s3.penstock.test.", "/dir/k"}, {"my.dotted.s3.amazonaws.com", "/dir/k"}, {"my.dotted.s3.eu-west-1.amazonaws.com", "/dir/k"},
	} {
		if w := s.raw("GET", at[1], nil, "Host", at[0]); w.Code != 200 || w.Body.String() != "found" {
			t.Errorf("%s at %s: %d %s", at[1], at[0], w.Code, w.Body)
		}
	}
}
