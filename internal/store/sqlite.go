package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// lite is the SQLite backend: one writer, some readers, and a lock that keeps other
// processes out, whose writes would make ours wait.
type lite struct {
	lock   *os.File
	writer *writer
	views  *readers
	// reserve is there if the disk's promise matters.
	reserve *reserve
}

func openSQLite(ctx context.Context, db *DB, path string, cfg Config) (_ *lite, err error) {
	if path == "" || strings.HasPrefix(path, ":") || strings.IndexByte(path, 0) >= 0 {
		return nil, errors.New(`a SQLite database is named "sqlite:PATH", PATH being a file`)
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	level := cfg.Durability
	if level == "" {
		level = Full
	}
	if level != Full && level != Normal && level != Off {
		return nil, fmt.Errorf("durability %q is not known", level)
	}
	l := &lite{}
	if l.lock, err = lockBeside(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := createSQLite(ctx, path); err != nil {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
	}
	pool, err := sql.Open("sqlite", dsn(path, level, "journal_mode(WAL)", "cache_size(-16000)"))
	if err != nil {
		return nil, err
	}
	l.writer = &writer{db: db, pool: pool, ctx: context.WithoutCancel(ctx)}
	if err := migrate(ctx, pool, sqliteDialect); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	l.views, err = newReaders(db, dsn(path, level, "query_only(1)"), cfg.MaxConns)
	if err != nil {
		return nil, err
	}
	if level == Full {
		l.reserve = newReserve(path + ".reserve")
	}
	l.writer.start()
	return l, nil
}

// createSQLite makes a database with all its tables beside path and moves it there: it is
// all there or not at all, so the steps on the way need not wait for the disk.
func createSQLite(ctx context.Context, path string) (err error) {
	draft := path + ".new"
	clean := func() error {
		var errs []error
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if err := os.Remove(draft + suffix); !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	if err := clean(); err != nil { // what a crash left
		return err
	}
	defer func() { err = errors.Join(err, clean()) }()
	// The tables hold secrets; SQLite gives its other files the same permissions.
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	pool, err := sql.Open("sqlite", dsn(draft, Off, "journal_mode(WAL)"))
	if err != nil {
		return err
	}
	// The last connection to close moves the write-ahead log into the file.
	if err := errors.Join(migrate(ctx, pool, sqliteDialect), pool.Close()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// dsn is the driver's name for path; the settings hold for each of its connections.
func dsn(path string, level Durability, pragmas ...string) string {
	v := url.Values{"_dqs": {"0"}, "_pragma": append([]string{
		// The timeout comes first: the other settings may have to wait for a lock.
		"busy_timeout(10000)", "synchronous(" + string(level) + ")", "foreign_keys(1)",
		"temp_store(memory)", "journal_size_limit(67108864)",
	}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: v.Encode()}).String()
}

// lockPatience is how long a database may stay locked that is being opened: a child of the last
// owner has the lock too between its fork and its exec, and an owner that ends needs a moment.
const lockPatience = 2 * time.Second

// lockBeside takes the lock that lasts as long as this process and the file it returns.
func lockBeside(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for end := time.Now().Add(lockPatience); errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		holder, _ := io.ReadAll(io.LimitReader(f, 20))
		return nil, fmt.Errorf("%s is open in another penstock (process %s); stop it, or choose another database",
			path, strings.TrimSpace(string(holder)))
	}
	// The number is for the message above only, so failing to write it is no harm.
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	return f, nil
}

func (l *lite) update(ctx context.Context, fn func(*Tx) error) (*Tx, error) {
	tx, err := l.writer.update(ctx, fn)
	if errors.Is(err, ErrFull) && l.reserve.give() {
		tx, err = l.writer.update(ctx, fn)
	}
	return tx, err
}

func (l *lite) full() bool { return l.reserve.full() }

func (l *lite) view(ctx context.Context, fn func(*Tx) error) (*Tx, error) {
	return l.views.view(ctx, fn)
}

// listen has nothing to do: there is no other node.
func (l *lite) listen() {}

func (l *lite) close() error {
	var errs []error
	if l.views != nil {
		errs = append(errs, l.views.close())
	}
	if l.writer != nil {
		errs = append(errs, l.writer.close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}
