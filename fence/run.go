package fence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Action is what was done to a device.
type Action string

// The actions.
const (
	ActionStatus   Action = "status"
	ActionOff      Action = "off"
	ActionIdentity Action = "identity"
)

// Step is one action on one device, for the log and the history.
type Step struct {
	Level  int
	Device string
	Action Action
	What   string // what came of it: on, off, unknown, accepted, acknowledged, or the error
	At     time.Duration
	Took   time.Duration
}

func (s Step) String() string {
	return fmt.Sprintf("level %d: %s %s: %s", s.Level, s.Device, s.Action, s.What)
}

// Result is what came of a fence.
type Result struct {
	Outcome Outcome
	Method  string // of the level that proved it, or of the last one tried
	Detail  string // what was read, for the ledger
	Steps   []Step
	// Err is why it isn't off; nil when Outcome is Off. [ErrRevoked] when the guard said no.
	Err error
}

// Run fences one node. The guard returns nil while this node may shoot: it is asked right before
// each irreversible command, and its first no ends the fence. Run returns when power is proved
// off, when every level has failed, when the budget is used up, or promptly after ctx ends.
func Run(ctx context.Context, p *Plan, s Shot, guard func() error, log *slog.Logger) Result {
	defer p.beginFence()()
	ctx, cancel := limited(ctx, "the whole fence", p.budgets.Total)
	defer cancel()
	r := &runner{
		plan: p, shot: s.WithGuard(guard), began: time.Now(),
		last: map[*lane]PowerState{}, acked: map[*lane]bool{},
		log: log.With("target", s.Target, "group", s.Group, "epoch", s.Epoch),
	}
	var res Result
	var failed []error
	for _, l := range p.levels {
		res.Method = l.method()
		detail, err := r.level(ctx, l)
		if err == nil {
			res.Outcome, res.Detail, res.Steps = Off, detail, r.steps
			r.log.Info("power is off", "method", res.Method, "detail", detail)
			return res
		}
		failed = append(failed, fmt.Errorf("level %d: %w", l.number, err))
		if ctx.Err() != nil || errors.Is(err, ErrRevoked) {
			break
		}
		r.log.Warn("fence level failed", "level", l.number, "devices", l.names(), "err", err)
	}
	res.Err = errors.Join(failed...)
	res.Outcome, res.Detail, res.Steps = r.worst(), oneLine(failed), r.steps
	r.log.Error("node is not fenced", "outcome", res.Outcome, "detail", res.Detail)
	return res
}

func oneLine(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// runner is one fence on its way.
type runner struct {
	plan  *Plan
	shot  Shot
	log   *slog.Logger
	began time.Time
	steps []Step
	// last is the newest reading of each device; a command, and a failure to read, make it unknown.
	last map[*lane]PowerState
	// acked holds the devices with trust_ack that acknowledged.
	acked map[*lane]bool
}

// level tries one level and returns what proved it.
func (r *runner) level(ctx context.Context, l level) (string, error) {
	if err := r.identify(ctx, l); err != nil {
		return "", err
	}
	off, err := r.read(ctx, l)
	if err != nil {
		return "", err
	}
	if off {
		err := r.confirm(ctx, l)
		switch {
		case err == nil:
			return fmt.Sprintf("already off: read twice, %v apart", r.plan.budgets.Confirm), nil
		case !errors.Is(err, errOnAgain):
			return "", err
		}
	}
	doubt, err := r.shoot(ctx, l)
	if err != nil {
		return "", err
	}
	return r.prove(ctx, l, doubt)
}

// read reads every device of a level once, and reports whether all are off. The first that
// can't be read is the error: what can't be read can't be proved, so its level isn't shot at.
// Devices with trust_ack are as off as they acknowledged.
func (r *runner) read(ctx context.Context, l level) (bool, error) {
	all := true
	for _, d := range l.devices {
		if trustsAck(d.Device) {
			all = all && r.acked[d]
			continue
		}
		power, err := r.status(ctx, l, d)
		switch {
		case err != nil:
			return false, err
		case power == PowerUnknown:
			return false, fmt.Errorf("%s: the answer says neither on nor off", d.Name())
		}
		all = all && power == PowerOff
	}
	return all, nil
}

var errOnAgain = errors.New("was off, but not when read again")

// confirm reads a level that was off again, after the pause.
func (r *runner) confirm(ctx context.Context, l level) error {
	if err := pause(ctx, r.plan.budgets.Confirm); err != nil {
		return err
	}
	off, err := r.read(ctx, l)
	if err == nil && !off {
		err = errOnAgain
	}
	return err
}

// shoot commands every device of a level that isn't known to be off. A device that fails to
// answer may have obeyed nevertheless: that is doubt, not an error, and reading will tell. Without
// a way to read, it is an error.
func (r *runner) shoot(ctx context.Context, l level) (doubt, err error) {
	for _, d := range l.devices {
		if r.last[d] == PowerOff || r.acked[d] {
			continue
		}
		err := r.command(ctx, l, d)
		switch {
		case err == nil:
		case errors.Is(err, ErrRevoked), ctx.Err() != nil, trustsAck(d.Device):
			return nil, err
		default:
			doubt = errors.Join(doubt, err)
		}
	}
	return doubt, nil
}

// prove reads a level until all of it was off in two rounds. Anything else in between starts
// over. A command in doubt gets one round, not the whole budget.
func (r *runner) prove(ctx context.Context, l level, doubt error) (string, error) {
	shot := time.Now()
	if r.told(l) {
		return "acknowledged, not read back (trust_ack)", nil
	}
	ctx, cancel := limited(ctx, "proof after the command", r.plan.budgets.Device)
	defer cancel()
	for {
		off, err := r.read(ctx, l)
		switch {
		case err == nil && !off:
			err = fmt.Errorf("%s: not off %v after the command", r.notOff(l), since(shot))
		case err == nil:
			if err = r.confirm(ctx, l); err == nil {
				return r.proof(l, shot), nil
			}
		}
		if doubt != nil {
			return "", fmt.Errorf("%w; then %w", doubt, err)
		}
		if cause := pause(ctx, r.plan.budgets.Poll); cause != nil {
			return "", because(err, cause)
		}
	}
}

// because adds the limit that fired, unless the error already says so.
func because(err, cause error) error {
	if errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w (%w)", err, cause)
}

// since is a duration for people.
func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

// told reports whether all of a level merely acknowledged, so that there is nothing to read.
func (r *runner) told(l level) bool {
	return !slices.ContainsFunc(l.devices, func(d *lane) bool { return !r.acked[d] })
}

// notOff names the devices that were last read as not off.
func (r *runner) notOff(l level) string {
	var names []string
	for _, d := range l.devices {
		if r.last[d] != PowerOff && !r.acked[d] {
			names = append(names, d.Name())
		}
	}
	return strings.Join(names, " and ")
}

// proof says what was seen, and what was merely told.
func (r *runner) proof(l level, shot time.Time) string {
	text := fmt.Sprintf("off %v after the command: read twice, %v apart", since(shot), r.plan.budgets.Confirm)
	for _, d := range l.devices {
		if r.acked[d] {
			text += fmt.Sprintf("; %s acknowledged, not read back (trust_ack)", d.Name())
		}
	}
	return text
}

// status is one reading, noted.
func (r *runner) status(ctx context.Context, l level, d *lane) (PowerState, error) {
	at := time.Now()
	power, err := r.plan.status(ctx, d, r.shot)
	if err == nil || !over(ctx) { // a reading that we broke off says nothing new
		r.last[d] = power
	}
	if err != nil {
		r.note(l, d, ActionStatus, at, err.Error())
		return PowerUnknown, fmt.Errorf("%s status: %w", d.Name(), err)
	}
	r.note(l, d, ActionStatus, at, power.String())
	return power, nil
}

// over reports whether ctx has ended, or is about to: what is bounded by its deadline may return
// an instant before it.
func over(ctx context.Context) bool {
	deadline, has := ctx.Deadline()
	return ctx.Err() != nil || has && time.Until(deadline) <= 0
}

// command is one order to power off, noted.
func (r *runner) command(ctx context.Context, l level, d *lane) error {
	at := time.Now()
	err := r.plan.off(ctx, d, r.shot)
	if !errors.Is(err, ErrRevoked) {
		delete(r.last, d)
	}
	switch {
	case err != nil:
		r.note(l, d, ActionOff, at, err.Error())
		return fmt.Errorf("%s off: %w", d.Name(), err)
	case trustsAck(d.Device):
		r.acked[d] = true
		r.note(l, d, ActionOff, at, "acknowledged")
	default:
		r.note(l, d, ActionOff, at, "accepted")
	}
	return nil
}

func (r *runner) note(l level, d *lane, a Action, at time.Time, what string) {
	s := Step{Level: l.number, Device: d.Name(), Action: a, What: what, At: at.Sub(r.began), Took: time.Since(at)}
	r.steps = append(r.steps, s)
	r.log.Info("fence step", "level", s.Level, "device", s.Device, "action", string(a), "result", what, "took", s.Took)
}

// worst is what is known when no level proved off: a device that reads on is not off.
func (r *runner) worst() Outcome {
	for _, power := range r.last {
		if power == PowerOn {
			return NotOff
		}
	}
	return Unknown
}

// pause waits, or returns the cause of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
