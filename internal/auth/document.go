package auth

import (
	"penstock/internal/fault"
	"penstock/internal/policy"
)

// CheckIdentityPolicy says whether a document can be a policy of a user, role or session;
// if not, it gives the fault MalformedPolicyDocument with IAM's words.
func CheckIdentityPolicy(text string) error { return checkDocument(text, policy.Identity) }

// CheckTrustPolicy says the same of a role's trust policy.
func CheckTrustPolicy(text string) error { return checkDocument(text, policy.Trust) }

func checkDocument(text string, kind policy.Kind) error {
	if _, err := policy.Parse(text, kind); err != nil {
		return fault.New("MalformedPolicyDocument", "%s", err)
	}
	return nil
}
