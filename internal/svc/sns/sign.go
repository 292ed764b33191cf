package sns

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"

	"penstock/internal/fault"
	"penstock/internal/store"
)

// signer signs messages with the server's own key. Every node of a database has the same.
type signer struct {
	key         *rsa.PrivateKey
	certificate []byte // PEM
	// name is the file name of the certificate; another certificate has another name.
	name string
}

const (
	keyBits = 2048
	// certTime is how long the certificate is valid.
	certTime = 20 * 365 * 24 * time.Hour
)

// signing gives the signer, which is made and kept at its first use.
func (r *Room) signing(ctx context.Context) (*signer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.signer != nil {
		return r.signer, nil
	}
	fresh, err := newSigning()
	if err != nil {
		return nil, err
	}
	var kept []byte
	if err := r.deps.DB.Update(ctx, func(tx *store.Tx) (err error) {
		kept, err = tx.ServerSecret(ctx, "sns signing", fresh)
		return err
	}); err != nil {
		return nil, err
	}
	if r.signer, err = parseSigning(kept); err != nil {
		return nil, fmt.Errorf("sns: the signing key: %w", err)
	}
	return r.signer, nil
}

// newSigning makes a key with its certificate, in PEM.
func newSigning() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	form := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "sns.amazonaws.com", Organization: []string{"penstock"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certTime), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

func parseSigning(text []byte) (*signer, error) {
	certificate, rest := pem.Decode(text)
	private, _ := pem.Decode(rest)
	if certificate == nil || private == nil {
		return nil, errors.New("it is damaged")
	}
	key, err := x509.ParsePKCS8PrivateKey(private.Bytes)
	if err != nil {
		return nil, err
	}
	own, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is of another kind")
	}
	sum := sha256.Sum256(certificate.Bytes)
	return &signer{key: own, certificate: pem.EncodeToMemory(certificate), name: "SimpleNotificationService-" + hex.EncodeToString(sum[:16]) + ".pem"}, nil
}

// sign signs a text as a signature version says: 1 is SHA1, 2 is SHA256.
func (s *signer) sign(version, text string) (string, error) {
	kind, sum := crypto.SHA1, sha1.Sum([]byte(text))
	digest := sum[:]
	if version == "2" {
		long := sha256.Sum256([]byte(text))
		kind, digest = crypto.SHA256, long[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, kind, digest)
	return base64.StdEncoding.EncodeToString(signature), err
}

// quoted writes JSON without the escapes that are for browsers.
func quoted(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("sns: " + err.Error()) // texts and maps of them
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// envelope writes a message as SNS posts it, signed. base is the address of this room's own
// pages.
func (m *message) envelope(s *signer, version, base, subscription string) (string, error) {
	if version == "" {
		version = "1"
	}
	type pair struct{ name, value string }
	var signed string
	members := []pair{{"Type", m.Type}, {"MessageId", m.ID}}
	action := url.Values{}
	if m.Type == typeConfirmation {
		action.Set("Action", "ConfirmSubscription")
		action.Set("TopicArn", m.Topic)
		action.Set("Token", m.Token)
		subscribe := base + "?" + action.Encode()
		members = append(members, pair{"Token", m.Token}, pair{"TopicArn", m.Topic}, pair{"Message", m.Text}, pair{"SubscribeURL", subscribe}, pair{"Timestamp", m.Time})
		signed = lines("Message", m.Text, "MessageId", m.ID, "SubscribeURL", subscribe, "Timestamp", m.Time, "Token", m.Token, "TopicArn", m.Topic, "Type", m.Type)
	} else {
		members = append(members, pair{"TopicArn", m.Topic})
		subject := []string{}
		if m.Subject != "" {
			members = append(members, pair{"Subject", m.Subject})
			subject = []string{"Subject", m.Subject}
		}
		members = append(members, pair{"Message", m.Text}, pair{"Timestamp", m.Time})
		signed = lines("Message", m.Text, "MessageId", m.ID) + lines(subject...) + lines("Timestamp", m.Time, "TopicArn", m.Topic, "Type", m.Type)
	}
	signature, err := s.sign(version, signed)
	if err != nil {
		return "", err
	}
	members = append(members, pair{"SignatureVersion", version}, pair{"Signature", signature}, pair{"SigningCertURL", base + s.name})
	if m.Type == typeNotification {
		action.Set("Action", "Unsubscribe")
		action.Set("SubscriptionArn", subscription)
		members = append(members, pair{"UnsubscribeURL", base + "?" + action.Encode()})
	}
	var b strings.Builder
	b.WriteString("{\n")
	for i, p := range members {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString(`  "` + p.name + `" : ` + quoted(p.value))
	}
	if len(m.Attributes) > 0 {
		b.WriteString(",\n  \"MessageAttributes\" : {\n")
		for i, name := range slices.Sorted(maps.Keys(m.Attributes)) {
			if i > 0 {
				b.WriteString(",\n")
			}
			v := m.Attributes[name]
			value := v.StringValue
			if len(v.BinaryValue) > 0 {
				value = base64.StdEncoding.EncodeToString(v.BinaryValue)
			}
			b.WriteString("    " + quoted(name) + ` : {"Type":` + quoted(v.DataType) + `,"Value":` + quoted(value) + "}")
		}
		b.WriteString("\n  }")
	}
	b.WriteString("\n}")
	return b.String(), nil
}

// lines writes names and values as they are signed: each on its line.
func lines(parts ...string) string {
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "\n") + "\n"
}

func isGone(err error) bool { return fault.Code(err) == "NotFoundException" }
