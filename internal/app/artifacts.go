package app

import (
	"encoding/json"

	"penstock/internal/arn"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
)

type statement struct {
	Effect   string
	Action   []string
	Resource []string
}

// artifactPolicy is the IAM document of S-310.
func artifactPolicy(partition string, job engine.Job) (string, error) {
	objects := func(list []pipeline.Artifact) []string {
		arns := []string{}
		for _, a := range list {
			arns = append(arns, arn.S3(partition, a.Bucket+"/"+escaped(a.Key)))
		}
		return arns
	}
	var statements []statement
	if len(job.Inputs) > 0 {
		statements = append(statements, statement{"Allow", []string{"s3:GetObject", "s3:GetObjectVersion"}, objects(job.Inputs)})
	}
	if len(job.Outputs) > 0 {
		statements = append(statements, statement{"Allow", []string{"s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}, objects(job.Outputs)})
	}
	return document(statements), nil
}

// document is an IAM policy of statements.
func document(statements []statement) string {
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic("app: " + err.Error()) // texts only
	}
	return string(text)
}

// escaped writes an object key so that IAM's wildcards and variables in it stand for
// themselves.
func escaped(key string) string {
	out := make([]byte, 0, len(key))
	for i := range len(key) {
		switch c := key[i]; c {
		case '*', '?', '$':
			out = append(out, '$', '{', c, '}')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}
