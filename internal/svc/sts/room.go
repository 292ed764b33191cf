// Package sts is the room that answers STS (N-1): who am I, and sessions of roles and users.
// Sessions are made by auth; nothing of them is stored.
package sts

import (
	"context"
	"errors"
	"strings"
	"time"

	"penstock/internal/api/sts"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// Deps are what the room needs.
type Deps struct {
	// DB holds the managed policies that a session may name.
	DB *store.DB
	// Auth makes the sessions.
	Auth *auth.Auth
}

// Room implements STS. It is safe for concurrent use.
type Room struct {
	sts.Unimplemented
	d Deps
}

// New gives the room.
func New(d Deps) *Room { return &Room{d: d} }

var _ sts.Service = (*Room)(nil)

// Limits of AWS.
const (
	maxSessionPolicy = 2048
	maxPolicyARNs    = 10
	maxTags          = 50
	defaultRole      = time.Hour
	defaultUser      = 12 * time.Hour
	chained          = time.Hour
)

// GetCallerIdentity says who the caller is; nobody can be forbidden to ask.
func (m *Room) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	c := auth.From(ctx)
	return &sts.GetCallerIdentityOutput{UserId: c.UserID, Account: c.Account, Arn: c.ARN}, nil
}

// GetAccessKeyInfo says which account a key belongs to. Ids of sessions are known to
// nobody after they were made; all this server makes for a caller are of its account.
func (m *Room) GetAccessKeyInfo(ctx context.Context, in *sts.GetAccessKeyInfoInput) (*sts.GetAccessKeyInfoOutput, error) {
	if err := auth.Check(ctx, "sts:GetAccessKeyInfo", "*"); err != nil {
		return nil, err
	}
	if strings.HasPrefix(in.AccessKeyId, "ASIA") {
		return &sts.GetAccessKeyInfoOutput{Account: auth.From(ctx).Account}, nil
	}
	var k store.AccessKey
	err := m.d.DB.View(ctx, func(tx *store.Tx) (err error) {
		k, err = tx.GetAccessKey(ctx, in.AccessKeyId)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New("ValidationError", "The access key id %s is not known.", in.AccessKeyId)
	}
	return &sts.GetAccessKeyInfoOutput{Account: k.Account}, err
}

// GetSessionToken makes a session of the calling user.
func (m *Room) GetSessionToken(ctx context.Context, in *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	c := auth.From(ctx)
	if !c.Expires.IsZero() || c.UserName == "" {
		return nil, fault.New("AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	if in.SerialNumber != "" || in.TokenCode != "" {
		return nil, noMFA()
	}
	d := defaultUser
	if in.DurationSeconds != nil {
		d = time.Duration(*in.DurationSeconds) * time.Second
	}
	out, err := m.d.Auth.Mint(ctx, auth.MintInput{Account: c.Account, User: c.UserName, Duration: d})
	if err != nil {
		return nil, err
	}
	return &sts.GetSessionTokenOutput{Credentials: wire(out)}, nil
}

func noMFA() error {
	return fault.New("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")
}

func wire(c auth.Credentials) *sts.Credentials {
	return &sts.Credentials{
		AccessKeyId: c.AccessKeyID, SecretAccessKey: string(c.SecretAccessKey), SessionToken: string(c.SessionToken), Expiration: new(c.Expires),
	}
}

// AssumeRole makes a session of a role whose trust policy, together with the caller's own
// policies, lets the caller have it.
func (m *Room) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	if in.SerialNumber != "" || in.TokenCode != "" {
		return nil, noMFA()
	}
	if in.SourceIdentity != "" || len(in.ProvidedContexts) > 0 || len(in.TransitiveTagKeys) > 0 {
		return nil, fault.New("ValidationError", "SourceIdentity, ProvidedContexts and TransitiveTagKeys are not offered by this penstock server.")
	}
	attrs := auth.Attributes{"sts:RoleSessionName": {in.RoleSessionName}}
	if in.ExternalId != "" {
		attrs["sts:ExternalId"] = []string{in.ExternalId}
	}
	tags, err := sessionTags(in.Tags, attrs)
	if err != nil {
		return nil, err
	}
	if err := m.d.Auth.CheckAssume(ctx, "sts:AssumeRole", in.RoleArn, attrs); err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := m.d.Auth.CheckAssume(ctx, "sts:TagSession", in.RoleArn, attrs); err != nil {
			return nil, err
		}
	}
	d, err := m.duration(ctx, in)
	if err != nil {
		return nil, err
	}
	policies, err := m.policies(ctx, in)
	if err != nil {
		return nil, err
	}
	c, err := m.d.Auth.Mint(ctx, auth.MintInput{RoleARN: in.RoleArn, SessionName: in.RoleSessionName, Policies: policies, Tags: tags, Duration: d})
	if err != nil {
		return nil, err
	}
	out := &sts.AssumeRoleOutput{Credentials: wire(c), AssumedRoleUser: &sts.AssumedRoleUser{AssumedRoleId: c.UserID, Arn: c.ARN}}
	if in.Policy != "" {
		out.PackedPolicySize = new(int32(max(1, len(in.Policy)*100/maxSessionPolicy)))
	}
	return out, nil
}

// sessionTags reads the tags of a session and tells conditions about them.
func sessionTags(list []sts.Tag, attrs auth.Attributes) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > maxTags {
		return nil, fault.New("ValidationError", "A session can have at most %d tags.", maxTags)
	}
	tags := make(map[string]string, len(list))
	for _, t := range list {
		if _, ok := attrs["aws:RequestTag/"+strings.ToLower(t.Key)]; ok {
			return nil, fault.New("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		tags[t.Key] = t.Value
		attrs["aws:RequestTag/"+strings.ToLower(t.Key)] = []string{t.Value}
		attrs["aws:TagKeys"] = append(attrs["aws:TagKeys"], t.Key)
	}
	return tags, nil
}

// duration gives how long the session may last.
func (m *Room) duration(ctx context.Context, in *sts.AssumeRoleInput) (time.Duration, error) {
	if in.DurationSeconds == nil {
		return defaultRole, nil
	}
	d := time.Duration(*in.DurationSeconds) * time.Second
	longest, _, err := m.d.Auth.MaxSession(ctx, in.RoleArn)
	switch {
	case err != nil:
		return 0, err
	case d > longest:
		return 0, fault.New("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	case auth.From(ctx).RoleARN != "" && d > chained:
		return 0, fault.New("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return d, nil
}

// policies gives the documents that narrow the session.
func (m *Room) policies(ctx context.Context, in *sts.AssumeRoleInput) ([]string, error) {
	var list []string
	if in.Policy != "" {
		if len(in.Policy) > maxSessionPolicy {
			return nil, fault.New("PackedPolicyTooLarge", "The session policy is longer than %d characters.", maxSessionPolicy)
		}
		list = append(list, in.Policy)
	}
	if len(in.PolicyArns) > maxPolicyARNs {
		return nil, fault.New("PackedPolicyTooLarge", "A session can have at most %d managed policies.", maxPolicyARNs)
	}
	for _, p := range in.PolicyArns {
		text, err := m.document(ctx, auth.From(ctx).Account, p.Arn)
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, nil
}

// document gives the version in force of a managed policy.
func (m *Room) document(ctx context.Context, account, arn string) (text string, err error) {
	if b, ok := auth.FindManagedPolicy(ctx, arn); ok {
		return b.Document, nil
	}
	err = m.d.DB.View(ctx, func(tx *store.Tx) error {
		p, err := tx.GetPolicy(ctx, account, arn)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New("ValidationError", "The policy %s does not exist.", arn)
		}
		if err != nil {
			return err
		}
		versions, err := tx.PolicyVersions(ctx, arn)
		for _, v := range versions {
			if v.Version == p.Default {
				text = v.Document
			}
		}
		return err
	})
	return text, err
}
