// Package agent fences with ClusterLabs' fence agents (FenceAgentAPI.md), so that every device that
// Pacemaker can use can be used here.
//
// It owns the protocol: options and secrets go to the agent's standard input, never to its arguments
// or environment, and the action is always said, because an agent that isn't told reboots. Exit status 0
// of `off` means accepted, no more; 2 from `status` means off, 0 on, and anything else is
// unknown. Only off and status are ever run: a reboot, or a power cycle, has no moment at which
// power is known to be off. Options are checked against the agent's own metadata ([Read],
// [Metadata.Check]), and agents and options that would say off without knowing are refused: the
// tables in proof.go. The whole process group is killed when time is up, for no command may arrive late.
//
// What an agent does with a password afterwards is its own affair: fence_ipmilan puts it on the command
// line of ipmitool. The ipmi and redfish devices don't, and answer sooner.
package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/proc"
)

const defaultTimeout = 30 * time.Second

// Exit statuses of `status`.
const (
	statusOn  = 0
	statusOff = 2
)

// Options are an agent's options, under the names that its metadata has for them.
type Options struct {
	Values  map[string]string
	Secrets map[string]string // more of them, whose values no error may show
	Timeout time.Duration     // of one run; 30 s unless given
}

// Device is one machine or outlet behind an agent.
type Device struct {
	agent   *Metadata
	options Options
	name    string
}

// New checks the options against the agent's metadata. It doesn't speak to the device.
func New(m *Metadata, o Options) (*Device, error) {
	var wrong []error
	for _, p := range m.Check(o) {
		if !p.Doubt {
			wrong = append(wrong, errors.New(p.String()))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, fmt.Errorf("%s fence device: %w", m.Name, err)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	o.Values, o.Secrets = maps.Clone(o.Values), maps.Clone(o.Secrets)
	return &Device{agent: m, options: o, name: name(m, o)}, nil
}

// name is the agent, where its device is, and which machine or outlet of it.
func name(m *Metadata, o Options) string {
	parts := []string{m.Name}
	if ip := o.Values["ip"]; ip != "" {
		parts = append(parts, ip)
	}
	if plug := o.Values["plug"]; plug != "" {
		parts = append(parts, "plug "+plug)
	}
	return strings.Join(parts, " ")
}

// Name is the agent, the device's address and the plug: "fence_apc 10.1.0.9 plug 5".
func (d *Device) Name() string { return d.name }

// Identity is the name: what an agent knows of a machine is the plug that it was given.
func (d *Device) Identity(context.Context) (string, error) {
	if d.name == d.agent.Name {
		return "", fmt.Errorf("%s has neither ip nor plug: %w", d.name, fence.ErrNoIdentity)
	}
	return d.name, nil
}

// saysOff is how agents that say anything say off.
var saysOff = regexp.MustCompile(`(?im)\bstatus:?\s+off\s*$`)

// Status asks the agent for the power.
func (d *Device) Status(ctx context.Context, s fence.Shot) (fence.PowerState, error) {
	res, err := d.run(ctx, s, "status")
	switch {
	case err != nil:
		return fence.PowerUnknown, err
	case res.Code == statusOn:
		return fence.PowerOn, nil
	case res.Code != statusOff:
		return fence.PowerUnknown, d.failed(res)
	case res.LastLine() != "" && !saysOff.Match(res.Output):
		// A shell and a Python that can't read a program end with 2 as well, but not silently.
		return fence.PowerUnknown, fmt.Errorf("%w, which would mean off, but not a word of that", d.failed(res))
	}
	return fence.PowerOff, nil
}

// Off asks the agent to cut the power. Most agents return only when they have read that it is off.
func (d *Device) Off(ctx context.Context, s fence.Shot) error {
	res, err := d.run(ctx, s, "off")
	if err == nil && res.Code != 0 {
		err = d.failed(res)
	}
	return err
}

// Validate has the agent look at its options by itself: it knows more than its metadata says, for
// instance that an address is missing. It doesn't speak to the device.
func (d *Device) Validate(ctx context.Context) error {
	const action = "validate-all"
	if !d.agent.actions[action] {
		return nil
	}
	res, err := d.run(ctx, fence.Shot{}, action)
	if err == nil && res.Code != 0 {
		err = d.failed(res)
	}
	return err
}

func (d *Device) run(ctx context.Context, s fence.Shot, action string) (proc.Result, error) {
	if err := proc.Check(d.agent.path); err != nil {
		return proc.Result{}, err
	}
	res, err := proc.Run(ctx, proc.Command{
		Path:    d.agent.path,
		Env:     proc.Env(),
		Stdin:   d.input(action, s.Target),
		Timeout: d.options.Timeout,
	})
	if err != nil {
		return res, d.killed(res, err)
	}
	return res, nil
}

// input is what the agent reads. The action comes last, where nothing can overrule it.
func (d *Device) input(action, target string) []byte {
	var b bytes.Buffer
	line := func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, quoted(value)) }
	if _, ok := d.agent.parameters["nodename"]; ok && target != "" && d.options.Values["nodename"] == "" {
		line("nodename", target)
	}
	for _, given := range []map[string]string{d.options.Values, d.options.Secrets} {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			line(name, given[name])
		}
	}
	line("action", action)
	return b.Bytes()
}

// quoted keeps what the agents' library would take off a value: space around it, and one pair of
// quotes.
func quoted(value string) string {
	if value != strings.TrimSpace(value) || len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		return `"` + value + `"`
	}
	return value
}

// noise is what the agents' library writes around what it has to say: date and level before each line,
// and last lines that only say that it failed.
var noise = regexp.MustCompile(`(?m)^[0-9-]+ [0-9:,]+ (ERROR|WARNING): (validate-all failed$|Please use '-h' for usage$)?`)

// failed is an exit status with the agent's last word.
func (d *Device) failed(res proc.Result) error {
	res.Output = noise.ReplaceAll([]byte(d.scrub(string(res.Output))), nil) // before it is shortened
	if last := res.LastLine(); last != "" {
		return fmt.Errorf("exit status %d: %s", res.Code, last)
	}
	return fmt.Errorf("exit status %d", res.Code)
}

// scrub removes the secrets from a text of the agent's.
func (d *Device) scrub(text string) string {
	for _, secret := range d.options.Secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// killed is the error of a run that didn't end by itself. When the agent has repeated a secret, its
// last line is left out: it may have been cut in the middle of one.
func (d *Device) killed(res proc.Result, err error) error {
	if output := string(res.Output); d.scrub(output) == output {
		return err
	}
	text, _, _ := strings.Cut(err.Error(), " (last line: ")
	return quietError{text, err}
}

// quietError says less than its cause, and yet is what the cause is.
type quietError struct {
	text  string
	cause error
}

func (e quietError) Error() string        { return e.text }
func (e quietError) Is(target error) bool { return errors.Is(e.cause, target) }
