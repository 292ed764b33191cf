package audit

import (
	"fmt"
	"slices"
)

// Proof shows that a text is a record of a seal, to somebody who has no other record of it.
type Proof struct {
	Seal Seal `json:"seal"`
	// Seq is the number of the record.
	Seq int64 `json:"sequence"`
	// Before and After are the digests of the seal's other records.
	Before []Hash `json:"before,omitempty"`
	After  []Hash `json:"after,omitempty"`
}

// Prove makes the proof for one of the records of a seal.
func Prove(s Seal, records []Record, seq int64) (Proof, error) {
	p := Proof{Seal: s, Seq: seq}
	if seq < s.First || seq > s.Last || int64(len(records)) != s.Last-s.First+1 {
		return p, fmt.Errorf("record %d is not among the %d records sealed as %d to %d", seq, len(records), s.First, s.Last)
	}
	for _, r := range records {
		switch {
		case r.Seq < seq:
			p.Before = append(p.Before, Digest(r.Text))
		case r.Seq > seq:
			p.After = append(p.After, Digest(r.Text))
		}
	}
	return p, p.Check(records[seq-s.First].Text, nil)
}

// Check says whether text is the record. trusted are the public keys that count; none means
// that every key does.
func (p *Proof) Check(text string, trusted []string) error {
	v := Verifier{Trusted: trusted}
	if err := v.own(&p.Seal); err != nil {
		return err
	}
	if int64(len(p.Before)) != p.Seq-p.Seal.First || int64(len(p.After)) != p.Seal.Last-p.Seq {
		return fmt.Errorf("record %d: the proof has not the digests of all records %d to %d", p.Seq, p.Seal.First, p.Seal.Last)
	}
	link := p.Seal.Prev
	for _, digest := range slices.Concat(p.Before, []Hash{Digest(text)}, p.After) {
		link = Link(link, digest)
	}
	if link != p.Seal.Hash {
		return fmt.Errorf("record %d was changed, or is none of those that were sealed as %d to %d", p.Seq, p.Seal.First, p.Seal.Last)
	}
	return nil
}
