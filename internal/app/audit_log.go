package app

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/audit"
	"penstock/internal/store"
	"penstock/internal/svc/cloudtrail"
)

// AuditLog gives the chains of an audit log to whoever checks them.
type AuditLog struct {
	// Accounts are those that have a chain.
	Accounts []string
	// Next gives some of the runs of an account's chain after a record, none at the end.
	Next func(account string, after int64) ([]audit.Run, error)
	// Close gives back what the log holds.
	Close func() error
}

// AuditOfDatabase reads a database whose server does not run, or that many servers share.
func AuditOfDatabase(ctx context.Context, url string) (*AuditLog, error) {
	db, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		return nil, err
	}
	log := &AuditLog{Close: db.Close, Next: func(account string, after int64) ([]audit.Run, error) {
		return cloudtrail.Runs(ctx, db, account, after)
	}}
	err = db.View(ctx, func(tx *store.Tx) (err error) {
		log.Accounts, err = tx.AuditHolders(ctx)
		return err
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return log, nil
}

// AuditOfServer asks a server for the log of the caller's account.
func AuditOfServer(ctx context.Context, cfg aws.Config) (*AuditLog, error) {
	account, _, err := sealed(ctx, cfg, map[string]any{})
	if err != nil {
		return nil, err
	}
	return &AuditLog{Accounts: []string{account}, Close: func() error { return nil }, Next: func(_ string, after int64) ([]audit.Run, error) {
		_, runs, err := sealed(ctx, cfg, map[string]any{"AfterSequence": after})
		return runs, err
	}}, nil
}

// callTrail calls an operation of the CloudTrail room.
func callTrail(ctx context.Context, cfg aws.Config, operation string, in, out any) error {
	return callService(ctx, cfg, "cloudtrail", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."+operation, "application/x-amz-json-1.1", in, out)
}

// sealed asks for seals with their records.
func sealed(ctx context.Context, cfg aws.Config, in map[string]any) (account string, runs []audit.Run, err error) {
	var out struct {
		Account string
		Seals   []struct {
			First, Last, SealedAtMicros int64
			PreviousHash, Hash          audit.Hash
			PublicKey, Signature        string
			Events                      []struct {
				Sequence        int64
				Hash            audit.Hash
				CloudTrailEvent string
			}
		}
	}
	if err := callTrail(ctx, cfg, "GetSealedEvents", in, &out); err != nil {
		return "", nil, err
	}
	for _, s := range out.Seals {
		run := audit.Run{Seal: audit.Seal{Account: out.Account, First: s.First, Last: s.Last, Prev: s.PreviousHash, Hash: s.Hash,
			At: time.UnixMicro(s.SealedAtMicros).UTC(), Key: s.PublicKey, Signature: s.Signature}}
		for _, e := range s.Events {
			run.Records = append(run.Records, audit.Record{Seq: e.Sequence, Hash: e.Hash, Text: e.CloudTrailEvent})
		}
		runs = append(runs, run)
	}
	return out.Account, runs, nil
}
