package audit

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func key(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(slices.Repeat([]byte{b}, 32)) }

// chain makes runs of the given lengths.
func chain(k ed25519.PrivateKey, lengths ...int) []Run {
	var runs []Run
	var link Hash
	seq := int64(0)
	for i, n := range lengths {
		run := Run{Seal: Seal{Account: "111111111111", First: seq + 1, Prev: link, At: time.UnixMicro(int64(i) * 1e6)}}
		for range n {
			seq++
			text := fmt.Sprintf(`{"n":%d}`, seq)
			link = Link(link, Digest(text))
			run.Records = append(run.Records, Record{Seq: seq, Hash: link, Text: text})
		}
		run.Last, run.Hash = seq, link
		run.Sign(k)
		runs = append(runs, run)
	}
	return runs
}

func follow(v *Verifier, runs []Run) error {
	return v.Follow(func(after int64) ([]Run, error) {
		for i, run := range runs {
			if run.Last > after {
				return runs[i:min(i+2, len(runs))], nil
			}
		}
		return nil, nil
	})
}

// W-41: a chain that was written by its key is believed; anything else names the first bad record,
// also if whoever changed it had made all hashes fit, and signed with a key of his own.
func TestFollow(t *testing.T) {
	t.Parallel()
	whole := func() []Run { return chain(key(1), 3, 1, 2) }
	head := Head{Seq: 6, Hash: whole()[2].Hash}
	for _, c := range []struct {
		what, want string
		change     func([]Run) []Run
	}{
		{"nothing", "", func(r []Run) []Run { return r }},
		{"a text", "record 2 was changed", func(r []Run) []Run { r[0].Records[1].Text = "{}"; return r }},
		{"all that follows fits", "record 3 is not the one that was there before", func(r []Run) []Run { return chain(key(1), 3, 1, 2) }},
		{"hashes fit within the run", "a record of 1 to 3 was changed, and the hashes with it", func(r []Run) []Run {
			var link Hash
			r[0].Records[1].Text = "{}"
			for i := range r[0].Records {
				link = Link(link, Digest(r[0].Records[i].Text))
				r[0].Records[i].Hash = link
			}
			return r
		}},
		{"signed by somebody else", "record 1: the seal over records 1 to 3 is signed with the key", func([]Run) []Run { return chain(key(2), 3, 1, 2) }},
		{"a signature over other numbers", "record 4: the signature of the seal over records 4 to 4 is wrong", func(r []Run) []Run { r[1].At = r[1].At.Add(1000); return r }},
		{"a run is gone", "record 4 is missing", func(r []Run) []Run { return slices.Delete(r, 1, 2) }},
		{"the end is gone", "record 5 is missing: the chain ends with record 4", func(r []Run) []Run { return r[:2] }},
		{"a record is gone", "record 2 is missing: record 3 is in its place", func(r []Run) []Run { r[0].Records = slices.Delete(r[0].Records, 1, 2); return r }},
		{"the last of a run is gone", "record 3 is missing: its seal ends with record 3", func(r []Run) []Run { r[0].Records = r[0].Records[:2]; return r }},
	} {
		v := &Verifier{Trusted: []string{PublicKey(key(1))}, Expect: []Head{head}}
		if strings.HasPrefix(c.what, "all that follows") {
			v.Expect = []Head{{Seq: 3, Hash: Digest("another")}}
		}
		err := follow(v, c.change(whole()))
		if c.want == "" && (err != nil || v.Head.Seq != 6 || v.Head.Hash != head.Hash) || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

// W-41: a record can be shown to be one of the log without the others, after a way through JSON.
func TestProof(t *testing.T) {
	t.Parallel()
	trusted := []string{PublicKey(key(1))}
	for _, run := range chain(key(1), 1, 4) {
		for _, r := range run.Records {
			p, err := Prove(run.Seal, run.Records, r.Seq)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(p)
			var back Proof
			if err == nil {
				err = json.Unmarshal(text, &back)
			}
			if err != nil || back.Check(r.Text, trusted) != nil {
				t.Errorf("record %d: %v, %v", r.Seq, err, back.Check(r.Text, trusted))
			}
			if back.Check(r.Text+" ", trusted) == nil || back.Check(r.Text, []string{PublicKey(key(2))}) == nil {
				t.Errorf("record %d: another text or another key is believed", r.Seq)
			}
			if len(run.Records) > 1 {
				moved := back
				moved.Seq = run.First + run.Last - r.Seq
				if moved.Check(r.Text, trusted) == nil {
					t.Errorf("record %d is believed to be %d", r.Seq, moved.Seq)
				}
			}
		}
		if _, err := Prove(run.Seal, run.Records, run.Last+1); err == nil {
			t.Error("a record of another seal is proved")
		}
	}
}
