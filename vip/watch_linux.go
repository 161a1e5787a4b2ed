package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// events are the sockets on which the kernel reports changes of addresses and links, and of nftables.
type events struct {
	routes *netlink.Conn
	tables *netlink.Conn
}

const (
	eventBuffer   = 4 << 20 // bytes
	nftablesGroup = 7       // NFNLGRP_NFTABLES
)

func dialEvents() (*events, error) {
	routes, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("event socket for addresses: %w", err)
	}
	tables, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		routes.Close()
		return nil, fmt.Errorf("event socket for nftables: %w", err)
	}
	// A smaller buffer than asked for only means more overruns, which are handled.
	_, _ = routes.SetReadBuffer(eventBuffer), tables.SetReadBuffer(eventBuffer)
	return &events{routes, tables}, nil
}

func (e *events) close() error { return errors.Join(e.routes.Close(), e.tables.Close()) }

// Watch reports, at most one report pending, that something other than this Kernel changed addresses, links or nftables, or
// that reports were lost: it's time to Reconcile. The channel is closed when ctx or the Kernel is done. One Watch at a time.
func (k *Kernel) Watch(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	signal := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	routes, tables := k.events.routes, k.events.tables
	err := errors.Join(
		routes.SetReadDeadline(time.Time{}), tables.SetReadDeadline(time.Time{}), // an earlier Watch left them in the past
		routes.JoinGroup(unix.RTNLGRP_LINK), routes.JoinGroup(unix.RTNLGRP_IPV4_IFADDR), routes.JoinGroup(unix.RTNLGRP_IPV6_IFADDR),
		tables.JoinGroup(nftablesGroup))
	if err != nil {
		k.log.Error("changes of addresses and firewall are not reported; they are still found when looked for", "err", err)
	}
	signal() // what happened before the subscription went unseen

	var readers sync.WaitGroup
	own := k.guard.sock.PID()
	readers.Go(func() { follow(ctx, routes, k.concerns, signal) })
	readers.Go(func() { follow(ctx, tables, func(m netlink.Message) bool { return m.Header.PID != own }, signal) })
	stop := context.AfterFunc(ctx, func() {
		routes.SetReadDeadline(time.Unix(1, 0)) // wakes the readers
		tables.SetReadDeadline(time.Unix(1, 0))
	})
	go func() {
		readers.Wait()
		stop()
		close(changed)
	}()
	return changed
}

// follow signals events that concern us. An overrun (ENOBUFS) lost some: that is a reason to look, and the subscription
// goes on.
func follow(ctx context.Context, conn *netlink.Conn, concerns func(netlink.Message) bool, signal func()) {
	for {
		messages, err := conn.Receive()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, unix.ENOBUFS):
			signal()
		case err != nil:
			signal()
			return // closed
		}
		if slices.ContainsFunc(messages, concerns) {
			signal()
		}
	}
}

// concerns reports whether an event about a link or an address may need Reconcile. Our own changes don't; but the kernel
// tells whose a change was for IPv4 only, so a change of an IPv6 address counts when it differs from what is permitted.
func (k *Kernel) concerns(m netlink.Message) bool {
	if m.Header.Type != unix.RTM_NEWADDR && m.Header.Type != unix.RTM_DELADDR {
		return true
	}
	if m.Header.PID == k.links.port || len(m.Data) < unix.SizeofIfAddrmsg {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.owner[eventAddress(m)]
	if g == nil {
		return false
	}
	if m.Data[0] == unix.AF_INET {
		return true
	}
	return g.may(k.clock()) == (m.Header.Type == unix.RTM_DELADDR)
}

// eventAddress is the local address that an event is about.
func eventAddress(m netlink.Message) netip.Addr {
	attributes, err := netlink.NewAttributeDecoder(m.Data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return netip.Addr{}
	}
	var remote, local netip.Addr // IPv6 has the local address in IFA_ADDRESS alone
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFA_ADDRESS:
			remote, _ = netip.AddrFromSlice(attributes.Bytes())
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(attributes.Bytes())
		}
	}
	if local.IsValid() {
		return local
	}
	return remote
}
