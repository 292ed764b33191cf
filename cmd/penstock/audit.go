package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"penstock/internal/app"
	"penstock/internal/audit"
	"penstock/internal/watch"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check the audit log, and write the evidence of a release",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditVerify(), newAuditExport())
	return cmd
}

func newAuditVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Prove that nothing in the audit log was changed or removed",
		Long: `Follows the chain of the audit log from its first record, checks every hash and
every signature, and names the first record at which something is wrong. It asks the server, or
with --database reads the database of a server that does not run.

The chain must contain the end that the data folder remembers, and what --expect-head says: keep
the hash that this command prints somewhere else, and nobody can cut the log off later.

With a FILE it checks what "penstock audit export" wrote, without a server.`,
		Args: cobra.MaximumNArgs(1),
	}
	c := newClient(cmd)
	database := cmd.Flags().String("database", "", "sqlite:PATH or postgres://…, read directly instead of asking a server")
	keys := cmd.Flags().StringSlice("key", nil, "public key whose seals count; those of the data folder if none is given")
	heads := cmd.Flags().StringSlice("expect-head", nil, "hash that the chain must contain")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		trusted, err := trustedKeys(*keys, *c.data)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return c.verifyFile(args[0], trusted)
		}
		known, err := app.ReadAuditHeads(*c.data)
		if err != nil {
			return err
		}
		var expect []audit.Head
		for _, text := range *heads {
			h, err := audit.ParseHash(text)
			if err != nil {
				return usageError{fmt.Errorf("--expect-head: %w", err)}
			}
			expect = append(expect, audit.Head{Hash: h})
		}
		var log *app.AuditLog
		if *database != "" {
			log, err = app.AuditOfDatabase(cmd.Context(), *database)
		} else {
			cfg, cerr := c.settings(cmd)
			if cerr != nil {
				return cerr
			}
			log, err = app.AuditOfServer(cmd.Context(), cfg)
		}
		if err != nil {
			return err
		}
		defer log.Close()
		return c.verifyLog(log, trusted, known, expect)
	}
	return cmd
}

// trustedKeys gives the keys that count: those of the command line, or the data folder's.
func trustedKeys(keys []string, data string) ([]string, error) {
	if len(keys) > 0 {
		return keys, nil
	}
	own, err := app.AuditPublicKey(data)
	if err != nil || own == "" {
		return nil, err
	}
	return []string{own}, nil
}

// verified is what verify prints of a chain.
type verified struct {
	Account string     `json:"account"`
	Records int64      `json:"records"`
	Head    audit.Hash `json:"head"`
	Sealed  time.Time  `json:"sealedAt,omitzero"`
	Error   string     `json:"error,omitempty"`
}

func (c *client) verifyLog(log *app.AuditLog, trusted []string, known map[string]audit.Head, expect []audit.Head) error {
	var results []verified
	bad := false
	// With several accounts a head of the command line belongs to one of them.
	missing := slices.Clone(expect)
	for _, account := range log.Accounts {
		v := audit.Verifier{Trusted: trusted, Expect: slices.Clone(expect)}
		if head, ok := known[account]; ok {
			v.Expect = append(v.Expect, head)
		}
		err := v.Follow(func(after int64) ([]audit.Run, error) { return log.Next(account, after) })
		missing = slices.DeleteFunc(missing, func(h audit.Head) bool { return v.Found(h.Hash) })
		result := verified{Account: account, Records: v.Head.Seq, Head: v.Head.Hash, Sealed: v.Head.At}
		if err != nil {
			bad, result.Error = true, err.Error()
		}
		results = append(results, result)
	}
	for _, h := range missing {
		bad = true
		results = append(results, verified{Error: fmt.Sprintf("no record has the hash %s, which the log had before: records at the end are missing", h.Hash)})
	}
	if *c.json {
		if err := c.print(results); err != nil {
			return err
		}
	}
	for _, r := range results {
		switch {
		case *c.json:
		case r.Error != "":
			fmt.Fprintln(os.Stderr, strings.TrimSpace("penstock: audit log "+r.Account)+": "+watch.Clean(r.Error))
		case r.Records == 0:
			fmt.Fprintf(c.out, "account %s: no sealed records yet\n", r.Account)
		default:
			fmt.Fprintf(c.out, "account %s: %d records, none changed, none missing; sealed %s\nhead %s\n", r.Account, r.Records, r.Sealed.UTC().Format(time.RFC3339), r.Head)
		}
	}
	if len(trusted) == 0 {
		fmt.Fprintln(os.Stderr, "penstock: no key was given and the data folder has none: the chain fits together, but whether this server made it is not proved; name its key with --key")
	}
	if bad {
		return exitCode(exitFailed)
	}
	return nil
}

func (c *client) verifyFile(name string, trusted []string) error {
	e, err := readEvidence(name)
	if err != nil {
		return err
	}
	if err := e.Check(trusted); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if *c.json {
		return c.print(map[string]any{"pipeline": e.Pipeline, "execution": e.Execution, "records": len(e.Records), "keys": e.Keys()})
	}
	fmt.Fprintf(c.out, "%s: the evidence of execution %s of %s: %d records, every one sealed, and what the file says of them is what they say\n", name, e.Execution, e.Pipeline, len(e.Records))
	if len(trusted) == 0 {
		fmt.Fprintf(os.Stderr, "penstock: the seals are signed with %s; whether that is the server's key is for you to know, or name it with --key\n", strings.Join(e.Keys(), ", "))
	}
	return nil
}

// maxEvidence bounds a file that is checked.
const maxEvidence = 256 << 20

func readEvidence(name string) (*audit.Evidence, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEvidence+1))
	if err == nil && len(text) > maxEvidence {
		err = errors.New("it is larger than 256 MiB")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	e, err := audit.ReadEvidence(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return e, nil
}

func newAuditExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the evidence of one release",
		Long: `Writes a JSON file with what an auditor asks of one execution: who pushed and who wrote
the revision, who started it, the definition and its hash, every approval with its words, what
else was done to it, the result of every action, and the SHA-256 of every artifact. Each audit record
in it has a proof against the server's seal, so that "penstock audit verify FILE" can check the
file anywhere.`,
		Args: cobra.NoArgs,
	}
	c := newClient(cmd)
	name := cmd.Flags().String("pipeline", "", "pipeline")
	id := cmd.Flags().String("execution", "", "execution; the beginning of its id is enough, the newest if empty")
	file := cmd.Flags().StringP("output", "o", "", "file to write; standard output if empty")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *name == "" {
			return usageError{errors.New("--pipeline is needed")}
		}
		api, err := c.connect(cmd)
		if err != nil {
			return err
		}
		var given []string
		if *id != "" {
			given = []string{*id}
		}
		full, err := execution(cmd.Context(), api, *name, given)
		if err != nil {
			return err
		}
		cfg, err := c.settings(cmd)
		if err != nil {
			return err
		}
		e, err := app.Evidence(cmd.Context(), cfg, *name, full)
		if err != nil {
			return err
		}
		if *file == "" {
			return c.print(e)
		}
		text, err := json.MarshalIndent(e, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(*file, append(text, '\n'), 0o600)
	}
	return cmd
}
