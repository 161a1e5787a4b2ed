package arbiter

import (
	"errors"
	"fmt"
)

// Code says why a command was refused, for programs.
type Code string

// The codes of refusals.
const (
	Stale        Code = "stale"        // the ledger has moved on from what was quoted
	Unregistered Code = "unregistered" // the boot is not its node's registered one
	FencedBoot   Code = "fenced"       // the boot was proved or attested dead
	NotYours     Code = "not-yours"    // the group is not held by this boot at this epoch
	Busy         Code = "busy"         // another node's intent on the same target is open
	Unacceptable Code = "unacceptable" // this evidence does not suffice, or the command is malformed
)

// Refusal is a command's refusal: agreed, and without effect. Any other error of a proposal
// means that its outcome is unknown.
type Refusal struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}

func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Detail }

// RefusedAs returns the code of a refusal in err's chain, or "" when err is none.
func RefusedAs(err error) Code {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Code
	}
	return ""
}

func refuse(code Code, format string, args ...any) error {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}
