package git

import (
	"fmt"
	"io/fs"
	"strings"
)

// Many packs make every read slower; many loose refs every advertisement.
const maxPacks = 40

// tidyLater repacks a repository in the background when pushes have left many packs. It
// runs at most once per repository at a time and never removes an object.
func (d *Dir) tidyLater(r *Repo) {
	packs, err := fs.ReadDir(d.root.FS(), r.id+"/objects/pack")
	if err != nil {
		return
	}
	n := 0
	for _, e := range packs {
		if strings.HasSuffix(e.Name(), ".pack") {
			n++
		}
	}
	if n < maxPacks {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.tidy[r.id] {
		return
	}
	d.tidy[r.id] = true
	d.work.Go(func() {
		if err := d.repack(r); err != nil && d.ctx.Err() == nil {
			d.cfg.Log.Warn("git: repack", "repository", r.id, "error", err)
		}
		d.mu.Lock()
		delete(d.tidy, r.id)
		d.mu.Unlock()
	})
}

func (d *Dir) repack(r *Repo) error {
	for _, args := range [][]string{
		{"pack-refs", "--all"},
		// Geometric: each run touches the small packs only.
		{"repack", "-q", "-d", "--geometric=2", "--write-midx"},
	} {
		if err := d.background(d.ctx, call{repo: r, args: args}); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
	}
	return nil
}
