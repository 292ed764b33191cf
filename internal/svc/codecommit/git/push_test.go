package git

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// What a push says of how to answer is read as git reads it, or refused: whatever moves is announced, and nothing else.
func TestPushOdd(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	one := b.write("", Edit{Path: "a", Content: []byte("1")}).ID
	two := b.write(one, Edit{Path: "a", Content: []byte("2")}).ID
	pack := "PACK\x00\x00\x00\x02\x00\x00\x00\x00"
	sum := sha1.Sum([]byte(pack))
	pack += string(sum[:])
	for i, c := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"plain", []string{"one REF/a\x00report-status side-band-64k\n"}, 200},
		{"values", []string{"one REF/a\x00 report-status=1 side-band-64k=x"}, 200},
		{"tab", []string{"one REF/a\x00quiet\treport-status\rside-band-64k"}, 200},
		{"white space of no git", []string{"one REF/a\x00x\u00a0report-status\v"}, 200},
		{"second line", []string{"one REF/a\x00report-status", "one REF/b\x00side-band-64k"}, 400},
		{"shallow line", []string{"shallow one\x00report-status", "one REF/a"}, 400},
		{"after an end", []string{"one REF/a\x00quiet\x00 report-status"}, 400},
		{"twice", []string{"one REF/a\x00report-status", "two REF/a"}, 200},
	} {
		var body []byte
		for _, line := range c.lines {
			if !strings.HasPrefix(line, "shallow ") {
				line = zero + " " + line
			}
			line = strings.NewReplacer("one", one, "two", two, "REF", fmt.Sprint("refs/heads/", i)).Replace(line)
			body = appendPkt(body, []byte(line))
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/git-receive-pack", strings.NewReader(string(body)+"0000"+pack))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != c.status {
			t.Errorf("%s: %s, %v", c.name, res.Status, err)
		}
	}
	refs, err := b.repo.Refs(t.Context(), "refs/heads/")
	if err != nil {
		t.Fatal(err)
	}
	delete(refs, "refs/heads/main")
	for _, change := range b.changes() {
		if change.Old != "" || refs[change.Ref] != change.New {
			t.Errorf("announced %+v", change)
		}
		delete(refs, change.Ref)
	}
	if len(refs) > 0 {
		t.Errorf("not announced: %v", refs)
	}
}

// A push begins with text of the client: whatever it is, it is refused or understood.
func FuzzPushHead(f *testing.F) {
	f.Add([]byte("0000"))
	f.Add(append(appendPkt(nil, []byte(zero+" "+emptyTree+" refs/heads/x\x00report-status side-band-64k\n")), "0000PACK"...))
	f.Add([]byte("fff0"))
	f.Add([]byte("0004"))
	f.Add([]byte("0035shallow " + emptyTree + "\n0000"))
	two := appendPkt(nil, []byte(zero+" "+emptyTree+" refs/heads/x\x00 report-status-v2 x=y\tside-band-64k=\x00\n"))
	f.Add(append(appendPkt(two, []byte(zero+" "+emptyTree+" \xff\x00report-status")), "0000"...))
	f.Add(append(bytes.ToUpper(appendPkt(nil, nil)), bytes.ToUpper(two)...))
	f.Add(append(appendPkt(nil, []byte(zero+" "+zero+" "+strings.Repeat("r", 65400)+"\x00report-status side-band-64k")), "0000"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readPushHead(bytes.NewReader(data))
		if err != nil {
			if h != nil || !errors.Is(err, errPkt) && !errors.Is(err, ErrTooLarge) {
				t.Error(h, err)
			}
			return
		}
		// Only the digits of a length may be written in another way.
		if len(data) < len(h.raw) || !bytes.EqualFold(data[:len(h.raw)], h.raw) {
			t.Fatalf("passed on as %q", h.raw)
		}
		if again, err := readPushHead(bytes.NewReader(h.raw)); err != nil || !reflect.DeepEqual(h, again) {
			t.Errorf("%+v is read again as %+v, %v", h, again, err)
		}
		for _, u := range h.updates {
			if !ValidID(u.old) || !ValidID(u.new) || strings.Contains(u.ref, "\x00") {
				t.Errorf("took %+v", u)
			}
		}
		answer := lines(t, h.refusal(nil))
		if h.report && h.sideband {
			var inner []byte
			for _, line := range answer {
				inner = append(inner, strings.TrimPrefix(line, "\x01")...)
			}
			answer = lines(t, inner)
		}
		if want := len(h.updates) + 1; h.report && (len(answer) != want || answer[0] != "unpack ok\n") || !h.report && len(answer) > 0 {
			t.Errorf("answered %q", answer)
		}
	})
}

// lines are the payloads of pkt-lines that end with a flush, or of none.
func lines(t *testing.T, data []byte) (list []string) {
	t.Helper()
	for r := bytes.NewReader(data); r.Len() > 0; {
		line, flush, err := readPkt(r)
		if err != nil || flush != (r.Len() == 0) {
			t.Fatalf("%v in %q", err, data)
		}
		if !flush {
			list = append(list, string(line))
		}
	}
	return list
}
