//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/solevip/solevip/api"
)

// Ask runs solevip's client on a machine, as an operator who is logged in there, and returns what
// it prints. The error has its exit code (errors.As with *exec.ExitError) and what it says.
func (l *Lab) Ask(ctx context.Context, node, input string, args ...string) (string, error) {
	if err := known(node); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, l.Binary, append(args, "--run-dir", l.RunDir(node))...)
	var out, talk bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &talk
	// The client's process isn't in the machine's namespace: a frozen or killed machine has other
	// processes than the one that asks.
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(talk.String())
		return out.String(), fmt.Errorf("solevip %s on %s: %w: %s", args[0], node, err, said)
	}
	return out.String(), nil
}

// Status is what the daemon of a machine says about the cluster. The judge never asks it; tests
// compare its words with what the judge saw.
func (l *Lab) Status(ctx context.Context, node string) (api.Status, error) {
	var s api.Status
	out, err := l.Ask(ctx, node, "", "status", "-o", "json")
	if out == "" {
		return s, errors.Join(err, fmt.Errorf("status of %s: nothing was printed", node))
	}
	// The exit code tells how the cluster is, and an answer comes with each of them.
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("status of %s: %w in %q", node, err, out)
	}
	return s, nil
}

// AwaitStatus waits until the daemon of a machine says something in particular.
func (l *Lab) AwaitStatus(ctx context.Context, node string, says func(api.Status) bool) (api.Status, error) {
	var last api.Status
	var lastErr error
	err := poll(ctx, func() bool {
		last, lastErr = l.Status(ctx, node)
		return lastErr == nil && says(last)
	})
	if err != nil {
		return last, errors.Join(fmt.Errorf("await status of %s (now: %+v): %w", node, last, err), lastErr)
	}
	return last, nil
}

// GroupOf is the lab's one group in a status.
func GroupOf(s api.Status) api.Group {
	for _, g := range s.Groups {
		if g.Name == groupName {
			return g
		}
	}
	return api.Group{}
}

// Switchover moves the VIP to a member, as planned.
func (l *Lab) Switchover(ctx context.Context, to string) error {
	l.tell(to, "switch over to "+to)
	_, err := l.Ask(ctx, to, "", "switchover", groupName, "--to", to)
	return err
}
