package store_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(writeTo); url != "" {
		writeUntilKilled(url, os.Getenv(writeRound))
	}
	storetest.Main(m, func() error { return goleak.Find() })
}

// These make the test binary the child of TestKilledWriterLosesNothingItAcknowledged.
const (
	writeTo    = "PENSTOCK_TEST_WRITE_TO"
	writeRound = "PENSTOCK_TEST_WRITE_ROUND"
)

// writeUntilKilled writes from several goroutines and says what was acknowledged.
func writeUntilKilled(url, round string) {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s-%d-%d", round, g, i)
				if err := put(ctx, db, key, strings.Repeat("x", 500)); err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println("wrote", key)
				mu.Unlock()
			}
		}()
	}
	select {} // until killed
}
