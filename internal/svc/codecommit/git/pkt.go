package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxPkt is the longest pkt-line of git's protocol, length digits included.
const maxPkt = 65520

var errPkt = errors.New("git: malformed pkt-line")

// readPkt gives the payload of the next pkt-line; flush says that it was the
// marker without a payload. The other markers have no place in a push.
func readPkt(r io.Reader) (payload []byte, flush bool, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, false, err
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil || n > maxPkt || n > 0 && n < 4 {
		return nil, false, errPkt
	}
	if n == 0 {
		return nil, true, nil
	}
	payload = make([]byte, n-4)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, false, errPkt
	}
	return payload, false, nil
}

func appendPkt(b, payload []byte) []byte {
	b = fmt.Appendf(b, "%04x", len(payload)+4)
	return append(b, payload...)
}

// update is one line of a push: what the client wants of a ref.
type update struct{ ref, old, new string }

// pushHead is the beginning of a push, before the pack.
type pushHead struct {
	raw      []byte
	updates  []update
	report   bool
	sideband bool
}

// Bounds of the beginning of a push.
const (
	maxUpdates  = 10000
	maxPushHead = 4 << 20
)

// readPushHead reads the commands of a push up to the flush that the pack follows.
func readPushHead(r io.Reader) (*pushHead, error) {
	h := &pushHead{}
	for {
		line, flush, err := readPkt(r)
		if errors.Is(err, io.EOF) && len(h.raw) == 0 {
			return h, nil
		}
		if err != nil {
			return nil, errPkt
		}
		if flush {
			h.raw = append(h.raw, "0000"...)
			return h, nil
		}
		h.raw = appendPkt(h.raw, line)
		if len(h.raw) > maxPushHead || len(h.updates) >= maxUpdates {
			return nil, fmt.Errorf("%w: more than %d refs in one push", ErrTooLarge, maxUpdates)
		}
		text, wishes, wished := strings.Cut(strings.TrimSuffix(string(line), "\n"), "\x00")
		id, shallow := strings.CutPrefix(text, "shallow ")
		if wished {
			// Clients say how they want the answer once. git would listen in other places too,
			// and a push whose answer is misread would not be announced.
			if shallow || len(h.updates) > 0 || strings.Contains(wishes, "\x00") {
				return nil, errPkt
			}
			for w := range strings.FieldsFuncSeq(wishes, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }) {
				w, _, _ = strings.Cut(w, "=")
				h.report = h.report || w == "report-status" || w == "report-status-v2"
				h.sideband = h.sideband || w == "side-band-64k"
			}
		}
		if shallow && ValidID(id) {
			continue
		}
		old, rest, ok1 := strings.Cut(text, " ")
		new, ref, ok2 := strings.Cut(rest, " ")
		if !ok1 || !ok2 || !ValidID(old) || !ValidID(new) {
			return nil, errPkt
		}
		h.updates = append(h.updates, update{ref: ref, old: old, new: new})
	}
}

// refusal is the answer to a push of which nothing is taken, in the form that the client
// shows beside each ref.
func (h *pushHead) refusal(reasons map[string]string) []byte {
	if !h.report {
		return nil
	}
	report := appendPkt(nil, []byte("unpack ok\n"))
	for _, u := range h.updates {
		reason := reasons[u.ref]
		if reason == "" {
			reason = "another ref of this push was refused"
		}
		report = appendPkt(report, []byte("ng "+u.ref+" "+reason+"\n"))
	}
	report = append(report, "0000"...)
	if !h.sideband {
		return report
	}
	var out []byte
	for len(report) > 0 {
		n := min(len(report), maxPkt-5)
		out = appendPkt(out, append([]byte{1}, report[:n]...))
		report = report[n:]
	}
	return append(out, "0000"...)
}

// accepted reads the report that receive-pack wrote and gives the refs it took.
func accepted(report []byte) map[string]bool {
	ok := map[string]bool{}
	r := bytes.NewReader(report)
	for {
		line, flush, err := readPkt(r)
		if err != nil || flush {
			return ok
		}
		if ref, is := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "ok "); is {
			ok[ref] = true
		}
	}
}
