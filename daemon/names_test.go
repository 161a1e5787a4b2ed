package daemon_test

import (
	"testing"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/daemon"
)

type (
	apiFence           = api.Fence
	daemonLedgerStatus = daemon.LedgerStatus
)

var newDaemon = daemon.New

func mustNew(t *testing.T, o daemon.Options) *daemon.Daemon {
	t.Helper()
	d, err := daemon.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
