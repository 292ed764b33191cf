package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"penstock/internal/seal"
	"penstock/internal/store"
)

const (
	masterKeyFile = "master.key"
	maxMasterKey  = 64 << 10
)

// MasterKeys reads the keys that seal what is secret: from the file that is configured, or the
// one in the data folder, which exists and gets a new key if it has none.
func (c *Config) MasterKeys() (*seal.Ring, error) {
	file := c.MasterKey
	if file == "" {
		file = filepath.Join(c.Data, masterKeyFile)
		if err := makeMasterKey(file); err != nil {
			return nil, fmt.Errorf("the master key: %w", err)
		}
	}
	ring, err := readMasterKeys(file)
	if err != nil {
		return nil, fmt.Errorf("the master key %s: %w", file, err)
	}
	return ring, nil
}

func readMasterKeys(file string) (*seal.Ring, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read it (mode %04o); chmod 600", info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMasterKey+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxMasterKey {
		return nil, fmt.Errorf("it has more than %d bytes", maxMasterKey)
	}
	return seal.Parse(text)
}

// makeMasterKey makes the file if it is not there. It is on the disk before anything that
// cannot be read without it.
func makeMasterKey(file string) (err error) {
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, masterKeyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone after the rename
	_, err = f.Write(seal.Fresh())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// withoutKey says what to do about a database that another key has sealed.
func (c *Config) withoutKey(err error) error {
	if !errors.Is(err, store.ErrForeignKey) {
		return err
	}
	where := "restore " + filepath.Join(c.Data, masterKeyFile) + " from the backup, or give the file with --master-key"
	if c.MasterKey != "" {
		where = "add that key to " + c.MasterKey
	}
	return fmt.Errorf("%w; %s: servers that share a database share the key", err, where)
}
