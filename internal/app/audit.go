package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"penstock/internal/audit"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/cloudtrail"
)

const (
	// auditKeyFile signs the seals of the audit log, auditHeadFile remembers the ends of its
	// chains outside of the database.
	auditKeyFile  = "audit.key"
	auditHeadFile = "audit.head"
)

// newCloudTrail makes the room of the audit log, with the key of this data folder.
func (a *App) newCloudTrail(ctx context.Context) (*cloudtrail.Room, error) {
	key, err := auditKey(a.cfg.Data)
	if err != nil {
		return nil, fmt.Errorf("the key of the audit log: %w", err)
	}
	heads := &auditHeads{file: filepath.Join(a.cfg.Data, auditHeadFile)}
	if heads.heads, err = ReadAuditHeads(a.cfg.Data); err != nil {
		return nil, err
	}
	for account, head := range heads.heads {
		if err := a.hasHead(ctx, account, head); err != nil {
			a.log.Error("the audit log is not what it was; `penstock audit verify` says where", "account", account, "error", err)
		}
	}
	return cloudtrail.New(cloudtrail.Deps{DB: a.db, Key: key, Account: a.cfg.Account, Region: a.cfg.Region, Log: a.log, Sealed: func(account string, head audit.Head) {
		if err := heads.put(account, head); err != nil {
			a.log.Error("the end of the audit log cannot be kept beside the database", "error", err)
		}
	}}), nil
}

// hasHead says whether a record has the hash that it had.
func (a *App) hasHead(ctx context.Context, account string, head audit.Head) error {
	return a.db.View(ctx, func(tx *store.Tx) error {
		list, err := tx.SealedAudit(ctx, account, head.Seq, head.Seq)
		switch {
		case err != nil:
			return err
		case len(list) == 0:
			return fmt.Errorf("record %d is missing", head.Seq)
		case list[0].Hash != head.Hash.String():
			return fmt.Errorf("record %d has the hash %s and had %s", head.Seq, list[0].Hash, head.Hash)
		}
		return nil
	})
}

// auditKey gives the key of a data folder, and makes it when there is none.
func auditKey(data string) (ed25519.PrivateKey, error) {
	name := filepath.Join(data, auditKeyFile)
	text, err := os.ReadFile(name)
	if err == nil {
		return parseAuditKey(name, text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, replaceFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func parseAuditKey(name string, text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	own, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 key", name)
	}
	return own, nil
}

// AuditPublicKey gives the public key whose seals a data folder's server makes, or "" if no
// server has run on it.
func AuditPublicKey(data string) (string, error) {
	name := filepath.Join(data, auditKeyFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	key, err := parseAuditKey(name, text)
	if err != nil {
		return "", err
	}
	return audit.PublicKey(key), nil
}

// ReadAuditHeads gives the ends of the chains, by account, as the server on a data folder last
// knew them.
func ReadAuditHeads(data string) (map[string]audit.Head, error) {
	heads := map[string]audit.Head{}
	text, err := os.ReadFile(filepath.Join(data, auditHeadFile))
	if errors.Is(err, fs.ErrNotExist) {
		return heads, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &heads); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(data, auditHeadFile), err)
	}
	return heads, nil
}

// auditHeads keeps the file of heads. It is replaced in one step and not synced: a power cut may
// bring an older one back, which the chain also has.
type auditHeads struct {
	file  string
	mu    sync.Mutex
	heads map[string]audit.Head
}

func (h *auditHeads) put(account string, head audit.Head) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heads[account] = head
	text, err := json.MarshalIndent(h.heads, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(h.file, append(text, '\n'))
}

// basicGit authenticates git clients and has those recorded who cannot prove who they are.
func (a *App) basicGit(room *cloudtrail.Room) func(*http.Request, string, ...string) (context.Context, error) {
	return func(r *http.Request, repository string, regions ...string) (context.Context, error) {
		ctx, err := a.auth.BasicGit(r, repository, regions...)
		var f *fault.Error
		if errors.As(err, &f) {
			room.Refused(r, "codecommit", "GitCredentials", err)
		}
		return ctx, err
	}
}
