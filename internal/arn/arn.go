// Package arn makes the names of resources and takes them apart.
package arn

import "strings"

// ARN is an Amazon Resource Name in its parts.
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// New names a resource of a Region; the partition is the Region's.
func New(service, region, account, resource string) string {
	return ARN{Partition(region), service, region, account, resource}.String()
}

// S3 names a bucket, or with a slash and a key an object of it.
func S3(partition, name string) string {
	return ARN{Partition: partition, Service: "s3", Resource: name}.String()
}

// Parse takes an ARN apart. It asks for the six parts only: which of them may be empty is up to
// the service.
func Parse(text string) (a ARN, ok bool) {
	p := strings.SplitN(text, ":", 6)
	if len(p) != 6 || p[0] != "arn" {
		return ARN{}, false
	}
	return ARN{p[1], p[2], p[3], p[4], p[5]}, true
}

// String gives the ARN as Parse reads it.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// partitions has what the names of the Regions begin with that are not in the partition aws.
var partitions = []struct{ prefix, name string }{
	{"cn-", "aws-cn"},
	{"us-gov-", "aws-us-gov"},
	{"us-iso-", "aws-iso"},
	{"us-isob-", "aws-iso-b"},
	{"eu-isoe-", "aws-iso-e"},
	{"us-isof-", "aws-iso-f"},
	{"eusc-", "aws-eusc"},
}

// Partition gives the partition that a Region belongs to.
func Partition(region string) string {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p.name
		}
	}
	return "aws"
}
