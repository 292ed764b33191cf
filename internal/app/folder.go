package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Credentials is what a client needs to reach a server: what `penstock env` prints. They
// are those of the first administrator, in a file of the data folder that only its owner
// can read.
type Credentials struct {
	URL             string `json:"url"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	Region          string `json:"region"`
	Account         string `json:"account"`
}

const credentialsFile = "credentials.json"

// ReadCredentials gives the credentials of the server that runs, or ran last, on a data
// folder.
func ReadCredentials(data string) (Credentials, error) {
	var c Credentials
	text, err := os.ReadFile(filepath.Join(data, credentialsFile))
	if errors.Is(err, os.ErrNotExist) {
		return c, fmt.Errorf("no server has run on the data folder %s; start one with `penstock serve`, or name its folder with --data", data)
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", filepath.Join(data, credentialsFile), err)
	}
	return c, nil
}

// writeCredentials replaces the file in one step, so that nobody reads half of it.
func writeCredentials(data string, c Credentials) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(data, credentialsFile), append(text, '\n'))
}

// replaceFile gives a file a new content in one step; only its owner can read it.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone after the rename
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// A server that was killed while it was starting a program leaves the lock with the child
// until the program runs, which takes a moment.
const (
	lockTime  = 2 * time.Second
	lockEvery = 10 * time.Millisecond
)

// takeFolder makes the data folder and takes it for this process alone, until the file is
// closed or the process ends in whatever way.
func takeFolder(data string) (*os.File, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	info, err := os.Stat(data)
	if err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(data, 0o700); err != nil {
			return nil, fmt.Errorf("the data folder must be closed to others: %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	again := time.NewTicker(lockEvery)
	defer again.Stop()
	for end := time.Now().Add(lockTime); errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(end); <-again.C {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data folder %s is in use by another penstock server", data)
		}
		return nil, fmt.Errorf("the data folder: lock: %w", err)
	}
	return lock, nil
}
