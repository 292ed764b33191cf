package store_test

import (
	"testing"

	"go.uber.org/goleak"

	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func() error { return goleak.Find() })
}
