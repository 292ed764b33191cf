package auth

import (
	"embed"
	"slices"
	"strings"
	"sync"

	"penstock/internal/policy"
)

// builtinARN is what the ARN of every policy that AWS manages begins with.
const builtinARN = "arn:aws:iam::aws:policy/"

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

// builtins gives the managed policies by ARN. They are part of the program, so one that
// cannot be read is a mistake in it.
var builtins = sync.OnceValue(func() map[string]*ManagedPolicy {
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
		p := &ManagedPolicy{Name: name, ARN: builtinARN + name, ID: builtinID(name), Document: string(raw)}
		if p.parsed, err = policy.Parse(p.Document, policy.Identity); err != nil {
			panic(f.Name() + ": " + err.Error())
		}
		m[p.ARN] = p
	}
	return m
})

// builtinID derives the same id at every start.
func builtinID(name string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	id := []byte("ANPA")
	for _, b := range mac(nil, name)[:16] {
		id = append(id, alphabet[b%32])
	}
	return string(id)
}

// ManagedPolicies gives the policies that are built in, by name. They belong to no account
// and cannot be changed.
func ManagedPolicies() []*ManagedPolicy {
	var list []*ManagedPolicy
	for _, p := range builtins() {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *ManagedPolicy) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return list
}

// FindManagedPolicy gives the built-in policy with an ARN.
func FindManagedPolicy(arn string) (*ManagedPolicy, bool) {
	p, ok := builtins()[arn]
	return p, ok
}
