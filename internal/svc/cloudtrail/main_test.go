package cloudtrail

import (
	"testing"

	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
