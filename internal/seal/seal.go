// Package seal encrypts what must not be read by whoever gets hold of the database.
//
// A value is encrypted with a key of its own, and that key with a master key, both with
// AES-256-GCM. Both are bound to what the value is about, so that a sealed value which is
// copied to another row does not open there. The text names the master key by an id, so that
// a ring of several keys opens what each of them has sealed.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// prefix begins every sealed text.
const prefix = "sealed.1."

const (
	keySize   = 32
	nonceSize = 12
	tagSize   = 16
	maxKeys   = 16
)

// ErrForeign says that a text was sealed with a key which is not in the ring.
var ErrForeign = errors.New("seal: it was sealed with another master key")

// ErrBroken says that a text is not a sealed one, was changed, or belongs elsewhere.
var ErrBroken = errors.New("seal: it does not open: changed, or moved from where it belongs")

// Ring is the master keys: the first seals, every one opens. It does not change and is safe
// for concurrent use.
type Ring struct{ keys []key }

type key struct {
	id   string
	aead cipher.AEAD
}

// Fresh makes a random master key in the form that Parse reads.
func Fresh() []byte {
	var k [keySize]byte
	_, _ = rand.Read(k[:]) // it does not fail
	return append(base64.StdEncoding.AppendEncode(nil, k[:]), '\n')
}

// Parse reads master keys: one or more lines, each 32 bytes in base64. Lines that are empty or
// begin with # do not count. Errors name lines and never quote them.
func Parse(text []byte) (*Ring, error) {
	r := &Ring{}
	for n, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		raw, err := base64.StdEncoding.AppendDecode(nil, line)
		if err != nil || len(raw) != keySize {
			return nil, fmt.Errorf("line %d is not a key: %d random bytes in base64, as `openssl rand -base64 %d` prints them", n+1, keySize, keySize)
		}
		if len(r.keys) == maxKeys {
			return nil, fmt.Errorf("there are more than %d keys", maxKeys)
		}
		r.keys = append(r.keys, key{id: keyID(raw), aead: gcm(raw)})
	}
	if len(r.keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return r, nil
}

// keyID names a key without telling anything of it.
func keyID(raw []byte) string {
	sum := sha256.Sum256(append([]byte("penstock master key id\x00"), raw...))
	return hex.EncodeToString(sum[:8])
}

func gcm(raw []byte) cipher.AEAD {
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic(err) // the size is right
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block size is AES's
	}
	return aead
}

// ID names the key that seals: 16 hexadecimal digits.
func (r *Ring) ID() string { return r.keys[0].id }

// Has says whether the ring opens what the key of an id has sealed.
func (r *Ring) Has(id string) bool { return r.find(id) != nil }

func (r *Ring) find(id string) cipher.AEAD {
	for _, k := range r.keys {
		if k.id == id {
			return k.aead
		}
	}
	return nil
}

// Seal encrypts a text that is about the thing which the parts name, in their order.
func (r *Ring) Seal(plain string, about ...string) string {
	var own [keySize]byte
	_, _ = rand.Read(own[:]) // it does not fail
	bound := binding(about)
	data := lock(r.keys[0].aead, own[:], bound)
	data = append(data, lock(gcm(own[:]), []byte(plain), bound)...)
	return prefix + r.keys[0].id + "." + base64.RawURLEncoding.EncodeToString(data)
}

func lock(aead cipher.AEAD, plain, bound []byte) []byte {
	nonce := make([]byte, nonceSize, nonceSize+len(plain)+tagSize)
	_, _ = rand.Read(nonce) // it does not fail
	return aead.Seal(nonce, nonce, plain, bound)
}

// Open decrypts what Seal has made of a text about the same thing. The error is ErrForeign or
// ErrBroken.
func (r *Ring) Open(sealed string, about ...string) (string, error) {
	id, text, ok := cut(sealed)
	if !ok {
		return "", ErrBroken
	}
	master := r.find(id)
	if master == nil {
		return "", fmt.Errorf("%w (%s)", ErrForeign, id)
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	const head = nonceSize + keySize + tagSize
	if err != nil || len(data) < head+nonceSize+tagSize {
		return "", ErrBroken
	}
	bound := binding(about)
	own, err := master.Open(nil, data[:nonceSize], data[nonceSize:head], bound)
	if err != nil {
		return "", ErrBroken
	}
	plain, err := gcm(own).Open(nil, data[head:head+nonceSize], data[head+nonceSize:], bound)
	if err != nil {
		return "", ErrBroken
	}
	return string(plain), nil
}

// KeyOf gives the id of the key that a text was sealed with, and says whether it has the form
// of a sealed text at all.
func KeyOf(text string) (id string, ok bool) {
	id, _, ok = cut(text)
	return id, ok
}

func cut(text string) (id, data string, ok bool) {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return "", "", false
	}
	id, data, ok = strings.Cut(rest, ".")
	if _, err := strconv.ParseUint(id, 16, 64); err != nil || len(id) != 16 {
		return "", "", false
	}
	return id, data, ok
}

// binding writes the parts so that no two lists of them give the same bytes.
func binding(parts []string) []byte {
	var b []byte
	for _, p := range parts {
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(append(b, ':'), p...)
	}
	return b
}
