package auth

import (
	"context"
	"embed"
	"slices"
	"strings"
	"sync"

	"penstock/internal/arn"
	"penstock/internal/policy"
)

func builtinARN(partition, name string) string {
	return arn.ARN{Partition: partition, Service: "iam", Account: "aws", Resource: "policy/" + name}.String()
}

// The documents are small files of ours that grant what AWS's policy of that name grants
// for the services that pipelines meet.
//
//go:embed builtin/*.json
var builtinFiles embed.FS

// ManagedPolicy is a policy that is there without anybody having made it.
type ManagedPolicy struct {
	// Name, ARN and ID identify it; ID has the form of IAM's policy ids.
	Name, ARN, ID string
	// Document is its text.
	Document string

	parsed *policy.Document
}

// parsed has what builtins has made, by partition.
var parsed sync.Map

// builtins gives the managed policies of a partition by name. They are part of the program, so
// one that cannot be read is a mistake in it.
func builtins(partition string) map[string]*ManagedPolicy {
	if m, ok := parsed.Load(partition); ok {
		return m.(map[string]*ManagedPolicy)
	}
	files, err := builtinFiles.ReadDir("builtin")
	if err != nil {
		panic(err)
	}
	m := make(map[string]*ManagedPolicy, len(files))
	for _, f := range files {
		raw, err := builtinFiles.ReadFile("builtin/" + f.Name())
		if err != nil {
			panic(err)
		}
		name := strings.TrimSuffix(f.Name(), ".json")
		p := &ManagedPolicy{Name: name, ARN: builtinARN(partition, name), ID: builtinID(name),
			Document: strings.ReplaceAll(string(raw), `"arn:aws:`, `"arn:`+partition+`:`)}
		if p.parsed, err = policy.Parse(p.Document, policy.Identity); err != nil {
			panic(f.Name() + ": " + err.Error())
		}
		m[name] = p
	}
	parsed.Store(partition, m)
	return m
}

// builtinID derives the same id at every start.
func builtinID(name string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	id := []byte("ANPA")
	for _, b := range mac(nil, name)[:16] {
		id = append(id, alphabet[b%32])
	}
	return string(id)
}

// ManagedPolicies gives the policies that are built in, as the partition of the caller of a
// context has them, by name. They belong to no account and cannot be changed.
func ManagedPolicies(ctx context.Context) []*ManagedPolicy {
	c := From(ctx)
	var list []*ManagedPolicy
	for _, p := range builtins(c.Partition()) {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *ManagedPolicy) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list
}

// FindManagedPolicy gives the built-in policy with an ARN of the partition of the caller of a
// context.
func FindManagedPolicy(ctx context.Context, policyARN string) (*ManagedPolicy, bool) {
	c := From(ctx)
	p, ok := builtins(c.Partition())[policyARN[strings.LastIndexByte(policyARN, '/')+1:]]
	return p, ok && p.ARN == policyARN
}
