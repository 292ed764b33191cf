package all

import (
	"testing"

	"penstock/internal/provider/providertest"
)

func TestProviders(t *testing.T) {
	t.Parallel()
	seen := map[any]bool{}
	for _, p := range Providers(nil) {
		for _, typ := range p.Types() {
			if seen[typ.ID] {
				t.Errorf("two providers run %+v", typ.ID)
			}
			seen[typ.ID] = true
		}
		providertest.Run(t, p)
	}
}
