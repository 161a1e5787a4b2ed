// Package claim is pure, but not this one.
package claim

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	clock "time"

	"github.com/hashicorp/raft"
	"github.com/solevip/solevip/daemon"
)

type Permit struct{ group string }

func (m *Machine) permit() Permit { return Permit{group: "allowed here"} }

func elsewhere() Permit { return Permit{group: "not here"} }

func nothing() Permit { return Permit{} }

func late() clock.Time {
	go elsewhere()
	clock.Sleep(clock.Second)
	return clock.Now()
}
