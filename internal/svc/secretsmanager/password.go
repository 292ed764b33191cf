package secretsmanager

import (
	"context"
	"strings"

	wire "penstock/internal/api/secretsmanager"
	"penstock/internal/auth"
)

const defaultLength = 32

// GetRandomPassword makes a password.
func (r *Room) GetRandomPassword(ctx context.Context, in *wire.GetRandomPasswordInput) (*wire.GetRandomPasswordOutput, error) {
	if err := auth.Check(ctx, "secretsmanager:GetRandomPassword", "*"); err != nil {
		return nil, err
	}
	length := defaultLength
	if in.PasswordLength != nil {
		length = int(*in.PasswordLength)
	}
	var classes []string
	for _, class := range []struct {
		letters string
		out     bool
	}{
		{"abcdefghijklmnopqrstuvwxyz", yes(in.ExcludeLowercase)}, {"ABCDEFGHIJKLMNOPQRSTUVWXYZ", yes(in.ExcludeUppercase)}, {"0123456789", yes(in.ExcludeNumbers)},
		{"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", yes(in.ExcludePunctuation)}, {" ", !yes(in.IncludeSpace)},
	} {
		left := strings.Map(func(r rune) rune {
			if strings.ContainsRune(in.ExcludeCharacters, r) {
				return -1
			}
			return r
		}, class.letters)
		if !class.out && left != "" {
			classes = append(classes, left)
		}
	}
	all := strings.Join(classes, "")
	each := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	switch {
	case all == "":
		return nil, invalid("No characters are left to make a password of.")
	case each && length < len(classes):
		return nil, invalid("The password length is too short for one character of each of the %d included types.", len(classes))
	}
	password := make([]byte, length)
	for i := range password {
		from := all
		if each && i < len(classes) {
			from = classes[i]
		}
		password[i] = from[below(len(from))]
	}
	for i := length - 1; i > 0; i-- { // the first ones are not to be known
		j := below(i + 1)
		password[i], password[j] = password[j], password[i]
	}
	return &wire.GetRandomPasswordOutput{RandomPassword: string(password)}, nil
}

func yes(b *bool) bool { return b != nil && *b }
