package fence

import (
	"context"
	"errors"
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
