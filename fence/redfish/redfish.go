// Package redfish fences through a machine's baseboard management controller: Redfish (DMTF
// DSP0266) over HTTPS, ForceOff, PowerState read back.
//
// It owns finding the one system that is meant, by its UUID or id, and never a guess among several;
// whom to trust, by an authority or by the certificate's fingerprint; and what the BMC's answers are
// worth: only the literal Off is off. Each call is one connection with Basic authentication, which
// takes none of the few session slots of a BMC. Nothing is sent to another host, whatever a link or a
// redirect says. The order of commands is package fence's. The password is in no name and no error.
//
// It speaks net/http itself: three requests of the protocol are needed, and the general client
// library (stmcginnis/gofish) asks for more of them per connection, reads every system of a BMC to find
// one, puts no limit on answers, and appends the BMC's links to its address as text, so that a link
// ".example.net/" would carry the credentials there.
package redfish

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/fence/internal/web"
)

const (
	defaultPort    = "443"
	defaultTimeout = 10 * time.Second
)

// Errors that callers tell apart.
var (
	ErrAuth        = errors.New("the BMC refuses the user name, password or privilege")
	ErrUnreachable = errors.New("no answer from the BMC")
	ErrUntrusted   = errors.New("the BMC's certificate isn't trusted")
	// ErrSystem says that the machine that is meant isn't behind this BMC, or can't be told from others.
	ErrSystem = errors.New("not the system that is meant")
)

// Options name a BMC, how to log in, and which of its systems is meant.
type Options struct {
	Address  string // host or host:port; port 443 unless given
	Username string
	Password string

	CA          []byte // PEM of the authorities to trust; the system's unless given
	Fingerprint string // SHA-256 of the BMC's certificate, in hexadecimal; instead of CA
	ServerName  string // the name in the certificate, where it isn't the host of Address

	// System is the id of the computer system, and UUID its UUID. Either may be left out, and both
	// where the BMC has one system only; what is given must match.
	System, UUID string

	Timeout time.Duration // of one call; 10 s unless given
}

// Device is one computer system behind a BMC.
type Device struct {
	name, address      string
	username, password string
	trust              *tls.Config
	system, uuid       string
	timeout            time.Duration
	// secrets are texts that no error may show, in case the BMC repeats them.
	secrets []string
	// found is where the system was, so that later calls need not search. What is read there is
	// checked each time all the same.
	found atomic.Pointer[string]
}

// New checks the options. It doesn't speak to the BMC.
func New(o Options) (*Device, error) {
	d := &Device{username: o.Username, password: o.Password, system: o.System, timeout: o.Timeout}
	if err := d.configure(o); err != nil {
		return nil, fmt.Errorf("redfish fence device %q: %w", o.Address, err)
	}
	return d, nil
}

func (d *Device) configure(o Options) error {
	host, port, err := splitAddress(o.Address)
	if err != nil {
		return err
	}
	d.address, d.name = net.JoinHostPort(host, port), "redfish "+host
	if port != defaultPort {
		d.name = "redfish " + d.address
	}
	switch {
	case o.Username == "" || strings.Contains(o.Username, ":"):
		return errors.New("username is empty or has a colon, which HTTP doesn't allow; name a user of the BMC")
	case o.Password == "":
		return errors.New("no password; give the BMC's user one")
	case o.Timeout < 0:
		return fmt.Errorf("timeout %v; give a positive duration", o.Timeout)
	case strings.ContainsAny(o.System, "/?#%") || o.System == "." || o.System == "..":
		return fmt.Errorf("system %q isn't an id; give the last part of its path, as in /redfish/v1/Systems/1", o.System)
	}
	if d.timeout == 0 {
		d.timeout = defaultTimeout
	}
	if o.UUID != "" {
		if d.uuid, err = parseUUID(o.UUID); err != nil {
			return err
		}
	}
	basic := base64.StdEncoding.EncodeToString([]byte(d.username + ":" + d.password))
	d.secrets = []string{basic, d.password}
	d.trust, err = trust(o)
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
	if err != nil || host == "" || strings.ContainsAny(host, "/@?# ") {
		return "", "", errors.New("address isn't host, host:port or [ipv6]:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q isn't a number from 1 to 65535", port)
	}
	return host, port, nil
}

// Name is "redfish" and the address, with the system where one is named.
func (d *Device) Name() string {
	if d.system != "" {
		return d.name + " system " + d.system
	}
	return d.name
}

// Status reads the power.
func (d *Device) Status(ctx context.Context, _ fence.Shot) (fence.PowerState, error) {
	power := fence.PowerUnknown
	err := d.errand(ctx, web.Always, func(e *errand) error {
		s, err := e.find()
		if err == nil {
			power, err = s.power()
		}
		return err
	})
	return power, err
}

// Off sends ForceOff, which is immediate. A BMC that refuses is asked for the power: that it is
// off already is success.
func (d *Device) Off(ctx context.Context, shot fence.Shot) error {
	return d.errand(ctx, shot.Allowed, func(e *errand) error {
		s, err := e.find()
		if err != nil {
			return err
		}
		refused := e.forceOff(s, shot.Allowed)
		if _, ok := errors.AsType[*refusal](refused); !ok {
			return refused
		}
		if again, err := e.read(s.path); err == nil {
			if power, err := again.power(); err == nil && power == fence.PowerOff {
				return nil
			}
		}
		return refused
	})
}

// Identity is the system's UUID, as SMBIOS has it.
func (d *Device) Identity(ctx context.Context) (string, error) {
	var id string
	err := d.errand(ctx, web.Always, func(e *errand) error {
		s, err := e.find()
		if err != nil {
			return err
		}
		if id, err = parseUUID(s.UUID); err != nil {
			return fmt.Errorf("%s has the UUID %q: %w", s.path, s.UUID, fence.ErrNoIdentity)
		}
		return nil
	})
	return id, err
}
