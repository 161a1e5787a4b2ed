//go:build linux

package netns_test

import (
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

func TestSwitchover(t *testing.T) {
	c := newCluster(t)
	before := c.epoch("db1")
	r := c.play(lab.SwitchedOver, 0)
	c.tookOver(r, before, "released")
	c.unnoticed(r.Report)
}

func TestDaemonStopped(t *testing.T) {
	c := newCluster(t)
	before := c.epoch("db1")
	r := c.play(lab.Stopped, 0)
	c.tookOver(r, before, "released")
	c.unnoticed(r.Report)

	from := time.Now()
	c.must(c.Start(r.Holder))
	c.whole()
	c.nothingMoved(c.watch(from, c.TTL), r.Heir, before+1)
}
