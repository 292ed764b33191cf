package codedeploy

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"penstock/internal/store"
)

// signer makes the signed messages that specifications come in: PKCS #7 signed data, of which agents
// read the content (D.2). Every node has the same key and certificate.
type signer struct {
	key  crypto.Signer
	cert *x509.Certificate
}

// newSigner gives the signer of the server, which its first start makes.
func newSigner(ctx context.Context, db *store.DB) (*signer, error) {
	fresh, err := makeSigner()
	if err != nil {
		return nil, err
	}
	var kept []byte
	if err := db.Update(ctx, func(tx *store.Tx) (err error) {
		kept, err = tx.ServerSecret(ctx, "codedeploy signer", fresh)
		return err
	}); err != nil {
		return nil, err
	}
	key, rest := pem.Decode(kept)
	cert, _ := pem.Decode(rest)
	if key == nil || cert == nil {
		return nil, errors.New("the key that signs specifications is damaged")
	}
	s := &signer{}
	if s.cert, err = x509.ParseCertificate(cert.Bytes); err != nil {
		return nil, fmt.Errorf("the certificate of what signs specifications: %w", err)
	}
	private, err := x509.ParsePKCS8PrivateKey(key.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key that signs specifications: %w", err)
	}
	s.key = private.(*ecdsa.PrivateKey)
	return s, nil
}

// makeSigner makes a key and a certificate, in PEM.
func makeSigner() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "penstock codedeploy signer"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(100, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...), nil
}

var (
	oidData            = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidSHA256          = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// The structures of RFC 2315, as far as one signature without attributes needs them. What is
// Explicit is wrapped in the context tag 0.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      contentInfo
		Certificates asn1.RawValue
		Signers      []signerInfo `asn1:"set"`
	}
	signerInfo struct {
		Version   int
		Signer    issuerAndSerial
		Digest    pkix.AlgorithmIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
)

// tagged wraps DER in the context tag 0.
func tagged(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

// sign gives the signed message around a text, in PEM.
func (s *signer) sign(text []byte) (string, error) {
	sum := sha256.Sum256(text)
	signature, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return "", err
	}
	content, err := asn1.Marshal(text)
	if err != nil {
		return "", err
	}
	sha := pkix.AlgorithmIdentifier{Algorithm: oidSHA256}
	data, err := asn1.Marshal(signedData{
		Version: 1, Digests: []pkix.AlgorithmIdentifier{sha}, Content: contentInfo{oidData, tagged(content)}, Certificates: tagged(s.cert.Raw),
		Signers: []signerInfo{{
			Version: 1, Signer: issuerAndSerial{asn1.RawValue{FullBytes: s.cert.RawIssuer}, s.cert.SerialNumber}, Digest: sha,
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256}, Signature: signature,
		}},
	})
	if err != nil {
		return "", err
	}
	message, err := asn1.Marshal(contentInfo{oidSignedData, tagged(data)})
	return string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message})), err
}
