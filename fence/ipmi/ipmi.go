// Package ipmi fences through a machine's baseboard management controller: IPMI 2.0 over LAN
// (RMCP+), chassis power down, chassis status.
//
// It owns sessions: a fresh one for each call, with cipher suites named explicitly (asking a BMC
// which it has costs seconds, and some answer wrongly), ended whatever happens. It tells a BMC that
// refuses the password from one that is silent. It retries lost datagrams and nothing else; the
// order of commands is package fence's. The password is in no name and no error.
package ipmi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/solevip/solevip/fence"
)

const (
	defaultPort    = "623"
	defaultTimeout = time.Second
	// retries are the datagrams sent after the first one is lost.
	retries = 2
	// The longest that fit an IPMI 2.0 session, in bytes (§13.20, §22.30).
	maxUsername, maxPassword = 16, 20
)

// Errors that callers tell apart.
var (
	ErrAuth        = errors.New("the BMC refuses the user name, password or privilege")
	ErrUnreachable = errors.New("no answer from the BMC")
	ErrCipher      = errors.New("the BMC accepts none of the cipher suites")
)

// Options name a BMC and how to log in.
type Options struct {
	Address  string // host or host:port; port 623 unless given
	Username string
	Password string
	// Ciphers are the suites to try, in order; 17 (SHA-256) and 3 (SHA-1) unless given.
	Ciphers []int
	// Timeout is the wait for one datagram, of which three are sent; 1 s unless given.
	Timeout time.Duration
	// Privilege is operator, which is enough for the chassis, or administrator.
	Privilege string
}

// Device is one BMC.
type Device struct {
	name, address      string
	username, password string
	suites             []types.CipherSuiteID
	timeout            time.Duration
	privilege          types.PrivilegeLevel
	// worked is the suite that opened the last session, to be tried first: most sessions then
	// begin without a refusal.
	worked atomic.Int32
}

// New checks the options. It doesn't speak to the BMC.
func New(o Options) (*Device, error) {
	d := &Device{username: o.Username, password: o.Password, timeout: o.Timeout}
	d.worked.Store(-1)
	if err := d.parse(o); err != nil {
		return nil, fmt.Errorf("ipmi fence device %q: %w", o.Address, err)
	}
	return d, nil
}

func (d *Device) parse(o Options) error {
	host, port, err := splitAddress(o.Address)
	if err != nil {
		return err
	}
	d.address, d.name = net.JoinHostPort(host, port), "ipmi "+host
	if port != defaultPort {
		d.name = "ipmi " + d.address
	}
	switch {
	case o.Username == "" || len(o.Username) > maxUsername:
		return fmt.Errorf("username has %d bytes; IPMI wants 1 to %d", len(o.Username), maxUsername)
	case o.Password == "":
		return errors.New("no password; give the BMC's user one")
	case len(o.Password) > maxPassword:
		return fmt.Errorf("password has %d bytes; IPMI 2.0 allows %d", len(o.Password), maxPassword)
	case o.Timeout < 0:
		return fmt.Errorf("timeout %v; give a positive duration", o.Timeout)
	}
	if d.timeout == 0 {
		d.timeout = defaultTimeout
	}
	if d.privilege, err = privilege(o.Privilege); err != nil {
		return err
	}
	d.suites, err = suites(o.Ciphers)
	return err
}

func splitAddress(a string) (host, port string, err error) {
	if a == "" {
		return "", "", errors.New("no address; give the BMC's host or host:port")
	}
	if ip := net.ParseIP(a); ip != nil {
		return a, defaultPort, nil
	}
	if !strings.Contains(a, ":") {
		a += ":" + defaultPort
	}
	host, port, err = net.SplitHostPort(a)
	if err != nil || host == "" {
		return "", "", errors.New("address isn't host, host:port or [ipv6]:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q isn't a number from 1 to 65535", port)
	}
	return host, port, nil
}

func privilege(name string) (types.PrivilegeLevel, error) {
	switch name {
	case "", "operator":
		return types.PrivilegeLevelOperator, nil
	case "administrator":
		return types.PrivilegeLevelAdministrator, nil
	}
	return 0, fmt.Errorf("privilege %q; it is operator or administrator", name)
}

func suites(numbers []int) ([]types.CipherSuiteID, error) {
	if len(numbers) == 0 {
		numbers = []int{17, 3}
	}
	var ids []types.CipherSuiteID
	for _, n := range numbers {
		if n == 0 {
			return nil, errors.New("cipher suite 0 has no authentication: anybody could say off; use 17 or 3")
		}
		id := types.CipherSuiteID(n)
		if _, _, _, known := types.GetCipherSuiteAlgorithms(id); !known || int(id) != n || id == types.CipherSuiteIDReserved {
			return nil, fmt.Errorf("cipher suite %d isn't known; use 17 or 3", n)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Name is "ipmi" and the address.
func (d *Device) Name() string { return d.name }

// Status reads the chassis power.
func (d *Device) Status(ctx context.Context, _ fence.Shot) (fence.PowerState, error) {
	power := fence.PowerUnknown
	err := d.session(ctx, func(c *client.Client) error {
		status, err := c.GetChassisStatus(ctx)
		if err != nil {
			return fmt.Errorf("chassis status: %w", err)
		}
		power = fence.PowerOff
		if status.PowerIsOn {
			power = fence.PowerOn
		}
		return nil
	})
	return power, err
}

// notInThisState is the completion code of a BMC that won't switch off what is off (IPMI 2.0
// §5.2, D5h).
const notInThisState = 0xd5

// Off sends chassis power down, which is immediate. That power is off already is success.
func (d *Device) Off(ctx context.Context, s fence.Shot) error {
	return d.session(ctx, func(c *client.Client) error {
		if err := s.Allowed(); err != nil {
			return err
		}
		_, err := c.ChassisControl(ctx, chassis.ChassisControlPowerDown)
		if refused, ok := types.IsResponseError(err); ok && refused.CompletionCode() == notInThisState {
			return nil
		}
		if err != nil {
			return fmt.Errorf("chassis power down: %w", err)
		}
		return nil
	})
}
