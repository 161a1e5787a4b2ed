package ipmi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/solevip/solevip/fence"
)

// closeTimeout bounds the courtesy of ending a session; a BMC drops it by itself a minute later.
const closeTimeout = 500 * time.Millisecond

// session opens a session, does one thing in it, and ends it. Each cipher suite is tried on a
// socket of its own, so that a late answer to one isn't taken for an answer to the next.
func (d *Device) session(ctx context.Context, do func(*client.Client) error) error {
	kind := ErrCipher
	var refusals []string
	for _, suite := range d.order() {
		opened, err := d.try(ctx, suite, do)
		switch {
		case opened:
			d.worked.Store(int32(suite))
			return d.explain(ctx, err)
		case ctx.Err() != nil, silent(err):
			return d.explain(ctx, err)
		case refusedLogin(err):
			kind = ErrAuth // whatever the other suites say: with this one it got as far as the login
		}
		refusals = append(refusals, fmt.Sprintf("suite %d: %s", suite, flat(err)))
	}
	return fmt.Errorf("%w (user %s, %s): %s", kind, d.username, d.privilege, strings.Join(refusals, "; "))
}

// order is the suites, with the one that worked last time first.
func (d *Device) order() []types.CipherSuiteID {
	worked := types.CipherSuiteID(d.worked.Load())
	if d.worked.Load() < 0 {
		return d.suites
	}
	others := slices.DeleteFunc(slices.Clone(d.suites), func(s types.CipherSuiteID) bool { return s == worked })
	return append([]types.CipherSuiteID{worked}, others...)
}

// try opens a session with one suite. Opened says that the BMC let us in, and err is then what
// came of do.
func (d *Device) try(ctx context.Context, suite types.CipherSuiteID, do func(*client.Client) error) (opened bool, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", d.address)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	// The library waits out its timeouts after ctx has ended; a closed socket ends them too.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	c, err := client.NewClient(d.address, 0, d.username, d.password)
	if err != nil {
		return false, err
	}
	c.WithUDPProxy(dialed{conn}).WithTimeout(d.timeout).WithRetry(retries).
		WithCipherSuiteID(suite).WithMaxPrivilegeLevel(d.privilege)
	if err := c.Connect(ctx); err != nil {
		if strings.Contains(err.Error(), "SetSessionPrivilegeLevel") {
			end(ctx, c) // the session is open, though of no use
		}
		return false, err
	}
	defer end(ctx, c)
	return true, do(c)
}

// end ends a session; what the BMC thinks of it changes nothing. To be called once: the library
// panics the second time.
func end(ctx context.Context, c *client.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = c.Close(ctx)
}

// dialed hands the library a socket that is ours to close, and that knows IPv6.
type dialed struct{ conn net.Conn }

func (d dialed) Dial(string, string) (net.Conn, error) { return d.conn, nil }

// explain says in our words what the library met. Its own errors end here: they run over several
// lines, and join causes as text.
func (d *Device) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fence.ErrRevoked):
		return err
	case ctx.Err() == nil && silent(err):
		return fmt.Errorf("%w at %s: %s", ErrUnreachable, d.address, flat(err))
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, d.address, context.Cause(ctx))
	case ctx.Err() != nil:
		return fmt.Errorf("ipmi session with %s: %w", d.address, context.Cause(ctx))
	}
	return errors.New(flat(err))
}

// silent reports whether nobody answered.
func silent(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) || errors.As(err, &dns) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		strings.Contains(err.Error(), "before UDP read deadline") || // of a command
		strings.Contains(err.Error(), "UDP read timed out") // of opening a session
}

// loginRefusals are the library's texts for a name, password or privilege that the BMC
// doesn't take. Text, because Connect keeps no causes; the tests see to it that they match.
var loginRefusals = []string{
	client.ErrRAKPAuthentication.Error(),
	types.NewRmcpStatusError(types.RmcpStatusCodeUnauthorizedName).Error(),
	types.NewRmcpStatusError(types.RmcpStatusCodeInvalidIntegrityCheckValue).Error(),
	types.NewRmcpStatusError(types.RmcpStatusCodeUnauthorizedRoleOfPriLevel).Error(),
	types.NewRmcpStatusError(types.RmcpStatusCodeInvalidRole).Error(),
	"SetSessionPrivilegeLevel",
}

func refusedLogin(err error) bool {
	return slices.ContainsFunc(loginRefusals, func(text string) bool { return strings.Contains(err.Error(), text) })
}

// flat is an error on one line.
func flat(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
