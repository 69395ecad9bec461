package gateway

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a daemon, however it ended, left a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
