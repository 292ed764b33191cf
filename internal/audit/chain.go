// Package audit is the arithmetic of the audit log: how records are chained and sealed, and
// how somebody who has only a copy of them and a public key finds out whether one was
// changed, moved or removed. It is pure: no clock, no files, no network.
//
// Records of one account are numbered from 1 without a gap. The link of a record is SHA-256
// over the link of the record before it and SHA-256 of its own text; the first follows 32
// zero bytes. A seal is a signature of Ed25519 over the links in front of and at the end of a
// run of records. Seals follow each other as the records do.
package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Hash is a link, or the digest of a record's text. In JSON it is hexadecimal.
type Hash [sha256.Size]byte

// String gives the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what String gives.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("%.100q is no SHA-256", text)
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// ParseHash reads what String gives.
func ParseHash(s string) (h Hash, err error) { return h, h.UnmarshalText([]byte(s)) }

// Digest is that of a record's text.
func Digest(text string) Hash { return sha256.Sum256([]byte(text)) }

// Link is that of a record with this digest after the record with the link prev.
func Link(prev, digest Hash) Hash {
	return sha256.Sum256(slices.Concat([]byte("penstock audit link 1\n"), prev[:], digest[:]))
}

// Seal is a signed run of records of an account.
type Seal struct {
	Account string `json:"account"`
	// First and Last are the numbers of the records; a run has at least one.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// Prev is the link in front of First, Hash that of Last.
	Prev Hash      `json:"previousHash"`
	Hash Hash      `json:"hash"`
	At   time.Time `json:"sealedAt"`
	// Key is the public key in standard base64, Signature Ed25519's over everything above.
	Key       string `json:"publicKey"`
	Signature string `json:"signature"`
}

// text is what is signed. Its parts have no spaces.
func (s *Seal) text() []byte {
	return fmt.Appendf(nil, "penstock audit seal 1\n%s\n%d %d\n%s %s\n%d\n%s\n", s.Account, s.First, s.Last, s.Prev, s.Hash, s.At.UnixMicro(), s.Key)
}

// Sign fills in Key and Signature.
func (s *Seal) Sign(key ed25519.PrivateKey) {
	s.Key = PublicKey(key)
	s.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, s.text()))
}

// PublicKey gives the public key of a private one as seals name it.
func PublicKey(key ed25519.PrivateKey) string {
	public, _ := key.Public().(ed25519.PublicKey)
	return base64.StdEncoding.EncodeToString(public)
}

// Genuine says whether the signature is that of Key, whoever owns that.
func (s *Seal) Genuine() bool {
	key, err := base64.StdEncoding.DecodeString(s.Key)
	signature, err2 := base64.StdEncoding.DecodeString(s.Signature)
	return err == nil && err2 == nil && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, s.text(), signature)
}

// Record is a record with its place in the chain.
type Record struct {
	Seq  int64  `json:"sequence"`
	Hash Hash   `json:"hash"`
	Text string `json:"record"`
}

// Run is a seal with all its records.
type Run struct {
	Seal
	Records []Record
}

// Head is the end of a chain.
type Head struct {
	Seq  int64     `json:"sequence"`
	Hash Hash      `json:"hash"`
	At   time.Time `json:"sealedAt"`
}

// Verifier follows the chain of one account from its beginning, seal by seal. The zero value
// with Trusted set is ready. After an error it must not be used further.
type Verifier struct {
	// Trusted are the public keys whose seals count; none means that every key does, which
	// proves only that the chain fits together.
	Trusted []string
	// Expect are links that the chain must have at these numbers; at any, where the number is 0.
	Expect []Head
	// Head is where the chain has been followed to.
	Head Head

	found map[Hash]bool
}

// Found says whether a record seen so far has a hash of Expect.
func (v *Verifier) Found(h Hash) bool { return v.found[h] }

// Next checks one seal with all its records. The error names the first record at which
// something is wrong.
func (v *Verifier) Next(s Seal, records []Record) error {
	if s.First != v.Head.Seq+1 {
		if s.First > v.Head.Seq+1 {
			return fmt.Errorf("record %d is missing: the seal after record %d begins with record %d", v.Head.Seq+1, v.Head.Seq, s.First)
		}
		return fmt.Errorf("record %d is sealed twice", s.First)
	}
	if s.Prev != v.Head.Hash {
		return fmt.Errorf("record %d does not follow record %d: another record was there when it was sealed", s.First, v.Head.Seq)
	}
	if err := v.own(&s); err != nil {
		return err
	}
	link, seq := s.Prev, s.First
	for _, r := range records {
		if r.Seq != seq {
			return fmt.Errorf("record %d is missing: record %d is in its place", seq, r.Seq)
		}
		link = Link(link, Digest(r.Text))
		if link != r.Hash {
			return fmt.Errorf("record %d was changed: its text and what is before it do not give its hash %s", seq, r.Hash)
		}
		for _, e := range v.Expect {
			if e.Hash == link {
				if v.found == nil {
					v.found = map[Hash]bool{}
				}
				v.found[link] = true
			}
			if e.Seq == seq && e.Hash != link {
				return fmt.Errorf("record %d is not the one that was there before: its hash is %s and was %s", seq, link, e.Hash)
			}
		}
		seq++
	}
	if seq != s.Last+1 {
		return fmt.Errorf("record %d is missing: its seal ends with record %d", seq, s.Last)
	}
	if link != s.Hash {
		return fmt.Errorf("a record of %d to %d was changed, and the hashes with it: their seal of %s is over others", s.First, s.Last, s.At.UTC().Format(time.RFC3339))
	}
	v.Head = Head{Seq: s.Last, Hash: s.Hash, At: s.At}
	return nil
}

// Follow checks a whole chain. next gives some of the runs that come after a record, in their
// order, and none at the end.
func (v *Verifier) Follow(next func(after int64) ([]Run, error)) error {
	for {
		runs, err := next(v.Head.Seq)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if err := v.Next(run.Seal, run.Records); err != nil {
				return err
			}
		}
		if len(runs) == 0 {
			return v.End()
		}
	}
}

// own says whether a seal is signed, and by a key that counts.
func (v *Verifier) own(s *Seal) error {
	if !s.Genuine() {
		return fmt.Errorf("record %d: the signature of the seal over records %d to %d is wrong", s.First, s.First, s.Last)
	}
	if len(v.Trusted) > 0 && !slices.Contains(v.Trusted, s.Key) {
		return fmt.Errorf("record %d: the seal over records %d to %d is signed with the key %s, which is not trusted: it is none of those given with --key, nor, without these, that of the data folder (--data)", s.First, s.First, s.Last, s.Key)
	}
	return nil
}

// End checks what can be checked only at the end: whether the chain is as long as it was, as far
// as Expect has numbers.
func (v *Verifier) End() error {
	var errs []error
	for _, e := range v.Expect {
		if e.Seq > v.Head.Seq {
			errs = append(errs, fmt.Errorf("record %d is missing: the chain ends with record %d, and had record %d with the hash %s", v.Head.Seq+1, v.Head.Seq, e.Seq, e.Hash))
		}
	}
	return errors.Join(errs...)
}
