package fence

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Identifier is a Device that can say whose power it cuts, so that what it said when the node was
// known to be behind it can be compared before a shot: a BMC's address may have become another's.
type Identifier interface {
	// Identity is the machine's UUID where the device can read it, else the outlet's name as
	// configured. The same machine gives the same text, as long as the device stays the same.
	// [ErrNoIdentity] when the device has nothing of that kind.
	Identity(ctx context.Context) (string, error)
}

// ErrNoIdentity is the identity of a device that doesn't know whose power it cuts.
var ErrNoIdentity = errors.New("this device doesn't say whose power it cuts")

// identity asks one device whose power it cuts, within the budget of a call, and compares that with
// what is recorded. A device that is no [Identifier], or has nothing to say and never had, is "".
func (p *Plan) identity(ctx context.Context, d *lane, s Shot) (string, error) {
	recorded, known := s.identities[d.Name()]
	id, ok := d.Device.(Identifier)
	if !ok {
		return "", nil
	}
	ctx, cancel := limited(ctx, "one command", p.budgets.Call)
	defer cancel()
	if err := d.take(ctx); err != nil {
		return "", err
	}
	defer d.give()
	says, err := id.Identity(ctx)
	switch {
	case errors.Is(err, ErrNoIdentity) && !known:
		return "", nil
	case errors.Is(err, ErrNoIdentity):
		return "", fmt.Errorf("%w: %w; recorded was %q", ErrOtherMachine, err, recorded)
	case err != nil:
		return "", fmt.Errorf("identity: %w", err)
	case known && says != recorded:
		return says, fmt.Errorf("%w: it says %q, and %q was recorded when its machine was known", ErrOtherMachine, says, recorded)
	}
	return says, nil
}

// identify compares the devices of a level whose identity is recorded. Without a record there is
// nothing to compare, and no time is spent.
func (r *runner) identify(ctx context.Context, l level) error {
	for _, d := range l.devices {
		if _, known := r.shot.identities[d.Name()]; !known {
			continue
		}
		at := time.Now()
		says, err := r.plan.identity(ctx, d, r.shot)
		if err != nil {
			r.note(l, d, ActionIdentity, at, err.Error())
			return fmt.Errorf("%s: %w", d.Name(), err)
		}
		r.note(l, d, ActionIdentity, at, says)
	}
	return nil
}
