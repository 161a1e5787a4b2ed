//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// follow records when the VIP is on an interface of a machine, as its kernel tells.
func (o *Observer) follow(ctx context.Context, l *Lab, node string) error {
	ns, err := netns.GetFromName(l.Namespace(node))
	if err != nil {
		return fmt.Errorf("network namespace of %s: %w", node, err)
	}
	defer ns.Close()
	updates := make(chan netlink.AddrUpdate, 1024)
	err = netlink.AddrSubscribeWithOptions(updates, ctx.Done(), netlink.AddrSubscribeOptions{
		Namespace: &ns, ListExisting: true, ReceiveBufferSize: receiveBuffer, ReceiveBufferForceSize: true,
		ErrorCallback: func(err error) {
			if ctx.Err() == nil {
				o.fail(fmt.Errorf("addresses of %s: %w", node, err))
			}
		},
	})
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", node, err)
	}
	o.done.Go(func() {
		for u := range updates {
			if u.LinkAddress.IP.Equal(VIP.AsSlice()) {
				o.onLink(node, u.NewAddr, wall())
			}
		}
		if ctx.Err() == nil {
			o.fail(errors.New("addresses of " + node + ": the kernel's news ended"))
		}
	})
	return nil
}

// onLink notes a change; a refreshed lifetime is none.
func (o *Observer) onLink(node string, on bool, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	spans := o.links[node]
	was := len(spans) > 0 && spans[len(spans)-1].To.IsZero()
	switch {
	case on && !was:
		o.links[node] = append(spans, Span{Node: node, From: at})
	case !on && was:
		spans[len(spans)-1].To = at
	}
}
