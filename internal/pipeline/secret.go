package pipeline

import (
	"regexp"

	"penstock/internal/fault"
)

// SecretMask stands for a secret configuration value in everything the service tells (S-38).
const SecretMask = "****"

// credentialName recognises keys that hold credentials where the type does not name its keys.
var credentialName = regexp.MustCompile(`(?i)token|secret|password|key`)

// IsSecret says whether the value of a configuration key must not be shown.
func (t ActionType) IsSecret(key string) bool {
	if p, ok := t.Property(key); ok {
		return p.Secret
	}
	return t.AnyKey && credentialName.MatchString(key)
}

// Mask gives a copy of the definition with every secret value replaced by SecretMask (S-38,
// The secrets of a type that the catalogue no longer knows can not be told from its
// other values, so all of them are masked.
func Mask(d *Declaration, catalogue Catalogue) *Declaration {
	c := d.Clone()
	for i := range c.Stages {
		for j := range c.Stages[i].Actions {
			a := &c.Stages[i].Actions[j]
			a.Configuration = MaskConfiguration(a.ActionTypeID, a.Configuration, catalogue)
		}
	}
	return c
}

// MaskConfiguration is Mask for the configuration of a single action, such as the resolved
// one in the history. The result is a copy.
func MaskConfiguration(id ActionTypeID, configuration map[string]string, catalogue Catalogue) map[string]string {
	masked := dict(configuration)
	if len(masked) == 0 { // a look into the catalogue may cost a read
		return masked
	}
	t, known := catalogue(id)
	for key := range masked {
		if !known || t.IsSecret(key) {
			masked[key] = SecretMask
		}
	}
	return masked
}

// KeepSecrets gives a copy of a new definition in which each masked secret is the one stored
// in the old definition under the same stage and action name (S-38, A-44). A mask with no
// stored secret behind it is refused: taking it for the value would fail much later and far
// away. Old may be nil, as it is when a pipeline is created.
func KeepSecrets(d, old *Declaration, catalogue Catalogue) (*Declaration, error) {
	c := d.Clone()
	stored := storedSecrets(old, catalogue)
	for i := range c.Stages {
		stage := &c.Stages[i]
		for j := range stage.Actions {
			a := &stage.Actions[j]
			t, known := catalogue(a.ActionTypeID)
			for _, key := range sortedKeys(a.Configuration) {
				if a.Configuration[key] != SecretMask || known && !t.IsSecret(key) {
					continue
				}
				value, ok := stored.find(stage, a, key)
				if !ok {
					return nil, lostSecret(stage, a, key)
				}
				a.Configuration[key] = value
			}
		}
	}
	return c, nil
}

// secretPlace is where a secret is stored. The type is part of it so that a definition can
// not hand the secret of one service to another by keeping the names.
type secretPlace struct{ stage, action, owner, provider, key string }

type secrets map[secretPlace]string

func (s secrets) find(stage *Stage, a *Action, key string) (string, bool) {
	v, ok := s[secretPlace{stage.Name, a.Name, a.ActionTypeID.Owner, a.ActionTypeID.Provider, key}]
	return v, ok
}

func storedSecrets(d *Declaration, catalogue Catalogue) secrets {
	if d == nil {
		return nil
	}
	found := secrets{}
	for i := range d.Stages {
		for j := range d.Stages[i].Actions {
			a := &d.Stages[i].Actions[j]
			t, known := catalogue(a.ActionTypeID)
			for key, value := range a.Configuration {
				if !known || t.IsSecret(key) {
					id := a.ActionTypeID
					found[secretPlace{d.Stages[i].Name, a.Name, id.Owner, id.Provider, key}] = value
				}
			}
		}
	}
	return found
}

func lostSecret(stage *Stage, a *Action, key string) error {
	return fault.New(invalidAction, "Action configuration for action '%s' has '%s' in place of the secret '%s', "+
		"but no secret is stored under stage '%s' and action '%s'. Renaming a stage or an action drops its secrets: supply the value again.",
		a.Name, SecretMask, key, stage.Name, a.Name)
}
