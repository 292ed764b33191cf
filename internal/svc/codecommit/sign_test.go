package codecommit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// gitPassword makes what aws codecommit credential-helper prints, in its own words: the
// canonical request of the method GIT ends after the list of signed headers.
func gitPassword(path, host string) string {
	now := time.Now().UTC().Format("20060102T150405")
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	request := sha256.Sum256([]byte("GIT\n" + path + "\n\nhost:" + host + "\n\nhost\n"))
	scope := now[:8] + "/" + admin.Region + "/codecommit/aws4_request"
	key := mac(mac(mac(mac([]byte("AWS4"+secret), now[:8]), admin.Region), "codecommit"), "aws4_request")
	text := "AWS4-HMAC-SHA256\n" + now + "\n" + scope + "\n" + hex.EncodeToString(request[:])
	return now + "Z" + hex.EncodeToString(mac(key, text))
}
