package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

const gitLayout = "20060102T150405"

// GitPassword is the password that CodeCommit's credential helper makes: a time and a
// signature over the repository's path and host (N-9).
type GitPassword struct {
	// Date is when it was made.
	Date time.Time

	text      string
	signature []byte
}

// ParseGitPassword reads such a password; ok is false when the text is something else,
// for example a secret access key.
func ParseGitPassword(password string) (p GitPassword, ok bool) {
	date, sig, ok := strings.Cut(password, "Z")
	if !ok || len(date) != len(gitLayout) || len(sig) != 2*sha256.Size {
		return GitPassword{}, false
	}
	t, err := time.Parse(gitLayout, date)
	if err != nil {
		return GitPassword{}, false
	}
	raw, err := hex.DecodeString(sig)
	if err != nil {
		return GitPassword{}, false
	}
	return GitPassword{Date: t, text: date, signature: raw}, true
}

// Verify checks the password against a secret for one host, path and Region. Only the
// caller knows which Regions are possible, because a host that is not Amazon's does not
// name one. It returns nil or a *Failure.
func (p GitPassword) Verify(secret, region, host, path string, now time.Time, skew time.Duration) error {
	switch {
	case p.Date.Before(now.Add(-skew)):
		return &Failure{Kind: TooOld, Date: p.Date, Now: now, Skew: skew}
	case p.Date.After(now.Add(skew)):
		return &Failure{Kind: TooNew, Date: p.Date, Now: now, Skew: skew}
	}
	if h, _, ok := strings.Cut(host, ":"); ok {
		host = h // the helper signs the name without the port
	}
	// The canonical request ends after the signed header list: there is no hash line.
	sum := sha256.Sum256([]byte("GIT\n" + path + "\n\nhost:" + host + "\n\nhost\n"))
	day := p.text[:8]
	text := algorithm + "\n" + p.text + "\n" + day + "/" + region + "/codecommit/" + terminator + "\n" + hex.EncodeToString(sum[:])
	if !hmac.Equal(mac(SigningKey(secret, day, region, "codecommit"), text), p.signature) {
		return &Failure{Kind: BadSignature}
	}
	return nil
}
