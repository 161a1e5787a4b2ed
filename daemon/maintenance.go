package daemon

import (
	"context"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// hold is the maintenance as this node saw it: the ledger has no clock, so its time is counted here.
type hold struct {
	serial uint64
	until  time.Duration
	ending bool // its end is being proposed
}

// noteMaintenance starts the count when a maintenance is seen for the first time.
func (d *Daemon) noteMaintenance(now time.Duration) {
	m := d.record.Maintenance
	if m.Serial == d.hold.serial {
		return
	}
	d.hold = hold{serial: m.Serial, until: now + m.For()}
	if m.On {
		d.log.Warn("maintenance: nobody is fenced", "operator", m.Operator, "reason", m.Reason, "for", m.For())
	} else {
		d.log.Warn("the maintenance is over", "operator", m.Operator)
	}
}

// endMaintenance has the ledger forget a maintenance whose time is up, so that a node which is
// started later doesn't count it anew.
func (d *Daemon) endMaintenance(now time.Duration) {
	m := d.record.Maintenance
	if !m.On || now < d.hold.until || d.hold.ending || d.hold.serial != m.Serial {
		return
	}
	d.hold.ending = true
	d.propose(arbiter.Maintain{Node: d.o.Node, Seen: m.Serial, Operator: "the end of its time"}, func(time.Duration, claim.Proposed) {
		d.hold.ending = false
	})
}

// maintenance is what is held back now, or nil.
func (d *Daemon) maintenance(now time.Duration) *api.Maintenance {
	d.noteMaintenance(now) // the status may be asked for before the record is delivered
	m := d.record.Maintenance
	if !m.On || now >= d.hold.until {
		return nil
	}
	return &api.Maintenance{
		Operator: m.Operator, Reason: m.Reason, By: m.By, LeftMS: (d.hold.until - now).Milliseconds(),
		At: time.UnixMilli(m.At).UTC().Format(time.RFC3339Nano),
	}
}

// Maintenance begins or ends a time in which nobody is fenced automatically.
func (d *Daemon) Maintenance(ctx context.Context, req api.MaintenanceRequest) error {
	if d.o.Ledger == nil {
		return &api.Error{What: "no group of this cluster has a ledger: nobody is fenced anyway"}
	}
	seen, err := ask(ctx, d, func(time.Duration) uint64 { return d.record.Maintenance.Serial })
	if err != nil {
		return err
	}
	err = d.agree(ctx, arbiter.Maintain{
		Node: d.o.Node, On: req.On, Seen: seen, ForMS: req.ForMS, Operator: req.Operator, Reason: req.Reason,
	})
	if err != nil {
		return disagreement(err)
	}
	return nil
}
