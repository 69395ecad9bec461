package bgp

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine outlives the tests: Run must leave none.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
