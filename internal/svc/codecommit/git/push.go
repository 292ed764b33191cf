package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
)

// Change is a ref that moved. Old is "" for a new ref, New is "" for a deleted one.
type Change struct{ Ref, Old, New string }

// maxHeld bounds the report of a push that waits for the announcement.
const maxHeld = 8 << 20

// ServeReceivePack answers POST git-receive-pack: a push. When refs moved, moved is called
// after they are on the disk and before the client learns of it, with a context that
// outlives the client; so an acknowledged push is always announced. moved is called too
// when the client left in the middle and some ref moved nevertheless.
func (r *Repo) ServeReceivePack(w http.ResponseWriter, req *http.Request, moved func(context.Context, []Change) error) {
	p := newPeer(w, req, r.dir.cfg.Idle)
	if req.ContentLength > r.dir.cfg.MaxPack {
		text(w, http.StatusRequestEntityTooLarge, "A push may have at most %d bytes.", r.dir.cfg.MaxPack)
		return
	}
	// The pack limit is git's to refuse, in words that reach the user; ours only ends what
	// goes on beyond it.
	body, err := requestBody(p, req, r.dir.cfg.MaxPack+maxPushHead+1<<20)
	if err != nil {
		text(w, http.StatusUnsupportedMediaType, "%s", err)
		return
	}
	head, err := readPushHead(body)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	const kind = "application/x-git-receive-pack-result"
	if len(head.updates) == 0 {
		header(w, kind)
		return
	}
	refused, seen := map[string]string{}, map[string]bool{}
	for _, u := range head.updates {
		switch {
		case !ValidRef(u.ref):
			refused[u.ref] = "the name is not allowed"
		case seen[u.ref]: // the report would not tell which of the two was taken
			refused[u.ref] = "it stands in this push twice"
		}
		seen[u.ref] = true
	}
	if len(refused) > 0 {
		r.drain(body)
		header(w, kind)
		_, _ = p.Write(head.refusal(refused))
		return
	}
	ps := &push{repo: r, head: head, peer: p, body: body, kind: kind, fed: make(chan struct{})}
	ps.serve(req, moved)
}

// drain reads on for a while, so that a client which sends before it listens hears the answer.
func (r *Repo) drain(body io.Reader) {
	_, _ = io.CopyN(io.Discard, body, 64<<20)
}

// push is a push whose commands are acceptable.
type push struct {
	repo  *Repo
	head  *pushHead
	peer  *peer
	body  io.Reader
	kind  string
	fed   chan struct{} // closed when the body is read
	begun bool
	held  []byte // the end of the answer, kept until the announcement
	rep   []byte // the report within it
}

func (ps *push) serve(req *http.Request, moved func(context.Context, []Change) error) {
	d := ps.repo.dir
	if err := d.transfers.acquire(req.Context(), d.cfg.MaxWait); err != nil {
		ps.repo.fail(ps.peer.w, req, err)
		return
	}
	runErr := ps.run(req)
	d.transfers.release()

	// From here the client no longer decides: what moved is announced.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), quickLimit)
	defer cancel()
	changes, err := ps.changes(ctx, runErr)
	if err == nil && len(changes) > 0 {
		err = moved(ctx, changes)
	}
	if err == nil && runErr != nil && len(ps.held) == 0 {
		err = runErr
	}
	if len(changes) > 0 {
		d.tidyLater(ps.repo)
	}
	switch {
	case err != nil && !ps.begun && len(ps.held) == 0:
		ps.repo.fail(ps.peer.w, req, err)
		return
	case err != nil:
		d.cfg.Log.ErrorContext(ctx, "git: push", "repository", ps.repo.id, "error", err)
		if ps.head.sideband {
			ps.held = append(appendPkt(nil, []byte("\x03the push failed inside the server\n")), "0000"...)
		}
	}
	ps.begin()
	_, _ = ps.peer.Write(ps.held)
}

// run feeds git and passes its progress on. It returns when git has ended.
func (ps *push) run(req *http.Request) error {
	d := ps.repo.dir
	ctx, cancel := context.WithTimeoutCause(req.Context(), d.cfg.Transfer, errors.New("the push took too long"))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	env, _ := protocol(req)
	var in io.WriteCloser
	var out io.ReadCloser
	p, err := d.start(ctx, call{
		repo: ps.repo, env: env, args: []string{"receive-pack", "--stateless-rpc", "--", ps.repo.path},
	}, func(cmd *exec.Cmd) (err error) {
		if in, err = cmd.StdinPipe(); err != nil {
			return err
		}
		out, err = cmd.StdoutPipe()
		return err
	})
	if err != nil {
		return err
	}
	go func() {
		defer close(ps.fed)
		_, err := io.Copy(in, io.MultiReader(bytes.NewReader(ps.head.raw), &bodyErr{r: ps.body, stop: stop}))
		_ = in.Close()
		if err != nil && ctx.Err() == nil {
			// git ended first (it refuses a pack that is too large): read on, so that the
			// client comes to hear why.
			ps.repo.drain(ps.body)
		}
	}()
	readErr := ps.relay(out)
	if readErr != nil {
		stop(readErr)
	}
	err = p.wait(ctx)
	if err == nil {
		err = readErr
	}
	<-ps.fed
	return err
}

// errGone says that the client left in the middle of its pack.
var errGone = errors.New("git: the pack broke off")

// bodyErr ends the process when the client is gone in the middle of its pack.
type bodyErr struct {
	r    io.Reader
	stop context.CancelCauseFunc
}

func (b *bodyErr) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.stop(fmt.Errorf("%w: %w", errGone, err))
	}
	return n, err
}

// whole says whether the body has been read. HTTP/1 does not answer before: net/http would
// cut the pack off at the first byte written.
func (ps *push) whole() bool {
	select {
	case <-ps.fed:
		return true
	default:
		return false
	}
}

// relay passes progress on at once and holds everything else back.
func (ps *push) relay(out io.Reader) error {
	for {
		line, flush, err := readPkt(out)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case flush:
			ps.held = append(ps.held, "0000"...)
			if !ps.head.sideband {
				ps.rep = append(ps.rep, "0000"...)
			}
		case ps.head.sideband && len(line) > 0 && line[0] == 2 && ps.whole():
			ps.begin()
			if _, err := ps.peer.Write(appendPkt(nil, line)); err != nil {
				return err
			}
		default:
			ps.held = appendPkt(ps.held, line)
			if ps.head.sideband {
				if len(line) > 0 && line[0] == 1 {
					ps.rep = append(ps.rep, line[1:]...)
				}
			} else {
				ps.rep = appendPkt(ps.rep, line)
			}
		}
		if len(ps.held) > maxHeld {
			return ErrTooLarge
		}
	}
}

func (ps *push) begin() {
	if !ps.begun {
		ps.begun = true
		header(ps.peer.w, ps.kind)
	}
}

// changes gives the refs this push moved: by git's report, or by looking when there is none.
func (ps *push) changes(ctx context.Context, runErr error) ([]Change, error) {
	var ok map[string]bool
	if ps.head.report && runErr == nil {
		ok = accepted(ps.rep)
	} else {
		refs, err := ps.repo.Refs(ctx, "refs/")
		if err != nil {
			return nil, err
		}
		ok = map[string]bool{}
		for _, u := range ps.head.updates {
			ok[u.ref] = refs[u.ref] == absent(u.new)
		}
	}
	var changes []Change
	for _, u := range ps.head.updates {
		if ok[u.ref] && u.old != u.new {
			changes = append(changes, Change{Ref: u.ref, Old: absent(u.old), New: absent(u.new)})
		}
	}
	return changes, nil
}
