package arn_test

import (
	"testing"

	"penstock/internal/arn"
)

// S-356: the partition of a name is that of its Region.
func TestPartition(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"us-east-1": "aws", "eu-central-2": "aws", "local": "aws", "cn": "aws", "": "aws", "us-isolated-1": "aws",
		"cn-north-1": "aws-cn", "cn-northwest-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "us-gov-east-1": "aws-us-gov",
		"us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e", "us-isof-south-1": "aws-iso-f", "eusc-de-east-1": "aws-eusc",
	} {
		if got := arn.Partition(region); got != want {
			t.Errorf("S-356: %q is in %s, want %s", region, got, want)
		}
		name := arn.New("sns", region, "111122223333", "topic")
		if a, ok := arn.Parse(name); !ok || a != (arn.ARN{want, "sns", region, "111122223333", "topic"}) || a.String() != name {
			t.Errorf("S-356: %s is read as %+v", name, a)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]arn.ARN{
		"arn:aws:s3:::bucket/a:b":                 {"aws", "s3", "", "", "bucket/a:b"},
		"arn:aws-cn:iam::111122223333:role/p/n":   {"aws-cn", "iam", "", "111122223333", "role/p/n"},
		"arn:aws:lambda:r:111122223333:function:": {"aws", "lambda", "r", "111122223333", "function:"},
		"arn:::::": {},
	} {
		if got, ok := arn.Parse(text); !ok || got != want || got.String() != text {
			t.Errorf("%s is read as %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "arn", "bucket", "arn:aws:s3::bucket", "ARN:aws:s3:::bucket", "urn:aws:s3:::bucket"} {
		if got, ok := arn.Parse(text); ok || got != (arn.ARN{}) {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
