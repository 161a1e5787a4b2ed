package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Flags of a table (linux/netfilter/nf_tables.h). An owned table can be changed by its owner's socket alone (Linux
// 5.12); a persistent one outlives the socket (6.9). Ownership without persistence would take the guard away with the
// daemon, so it is both or neither.
const (
	tableOwner   = 0x2
	tablePersist = 0x4
)

const tableHandle = 4 // NFTA_TABLE_HANDLE

// claimTables makes the empty tables, or takes over those of an earlier life. The nftables library
// always sends flags 0, hence by hand.
func (g *guard) claimTables() error {
	flags := uint32(tableOwner | tablePersist)
	if !g.owned {
		flags = 0
	}
	for {
		err := g.sendTables(flags)
		switch {
		case err == nil:
			g.owned = flags != 0
			return nil
		case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
			if owned, listErr := g.anyFlag(tableOwner); listErr == nil && owned {
				return fmt.Errorf("nftables table %s is owned by another process: a daemon of the same cluster runs in this network namespace; stop it first", g.name)
			}
			return fmt.Errorf("nftables table %s: %w", g.name, err)
		case flags != 0:
			flags = 0 // an older kernel, or tables that were made without ownership
		default:
			return fmt.Errorf("nftables table %s: %w", g.name, err)
		}
	}
}

func (g *guard) sendTables(flags uint32) error {
	begin := message(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.NFPROTO_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)
	end := message(unix.NFNL_MSG_BATCH_END, 0, unix.NFPROTO_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)
	batch := []netlink.Message{begin}
	for _, family := range []nftables.TableFamily{g.inet.Family, g.arp.Family} {
		attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
			{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(g.name), 0)},
			{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, flags)},
		})
		if err != nil {
			return err
		}
		batch = append(batch, message(nftType(unix.NFT_MSG_NEWTABLE), netlink.Acknowledge|netlink.Create, byte(family), 0, attributes))
	}
	if _, err := g.sock.SendMessages(append(batch, end)); err != nil {
		return err
	}
	for range 2 {
		if _, err := g.sock.Receive(); err != nil {
			g.drain()
			return err
		}
	}
	return nil
}

// message is a request with netfilter's header: family, version, resource id.
func message(kind netlink.HeaderType, flags netlink.HeaderFlags, family byte, resource uint16, attributes []byte) netlink.Message {
	header := binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource)
	return netlink.Message{
		Header: netlink.Header{Type: kind, Flags: flags | netlink.Request},
		Data:   append(header, attributes...),
	}
}

func nftType(kind uint16) netlink.HeaderType {
	return netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind)
}

// table is one of our tables as the kernel has it.
type table struct {
	flags  uint32
	handle uint64 // of this very table: another one of the same name has another
}

// tables lists our tables, by family. By hand, as the nftables library reads flags in the wrong byte order.
func (g *guard) tables() (map[byte]table, error) {
	replies, err := g.sock.Execute(message(nftType(unix.NFT_MSG_GETTABLE), netlink.Dump, unix.NFPROTO_UNSPEC, 0, nil))
	if err != nil {
		g.drain()
		return nil, fmt.Errorf("list of nftables tables: %w", err)
	}
	found := map[byte]table{}
	for _, r := range replies {
		family := r.Data[0]
		if family != byte(g.inet.Family) && family != byte(g.arp.Family) {
			continue
		}
		attributes, err := netlink.NewAttributeDecoder(r.Data[4:])
		if err != nil {
			return nil, fmt.Errorf("list of nftables tables: %w", err)
		}
		attributes.ByteOrder = binary.BigEndian
		var name string
		var t table
		for attributes.Next() {
			switch attributes.Type() {
			case unix.NFTA_TABLE_NAME:
				name = attributes.String()
			case unix.NFTA_TABLE_FLAGS:
				t.flags = attributes.Uint32()
			case tableHandle:
				t.handle = attributes.Uint64()
			}
		}
		if name == g.name {
			found[family] = t
		}
	}
	return found, nil
}

// exists reports whether an earlier life left its tables.
func (g *guard) exists() (bool, error) {
	tables, err := g.tables()
	return len(tables) == 2, err
}

// anyFlag reports whether one of our tables has a flag.
func (g *guard) anyFlag(flag uint32) (bool, error) {
	tables, err := g.tables()
	for _, t := range tables {
		if t.flags&flag != 0 {
			return true, err
		}
	}
	return false, err
}

// generation numbers the state of all of nftables in this network namespace: every change by anybody counts it up.
func (g *guard) generation() (uint32, error) {
	replies, err := g.sock.Execute(message(nftType(unix.NFT_MSG_GETGEN), 0, unix.NFPROTO_UNSPEC, 0, nil))
	if err != nil {
		g.drain()
		return 0, fmt.Errorf("nftables generation: %w", err)
	}
	for _, r := range replies {
		attributes, err := netlink.NewAttributeDecoder(r.Data[4:])
		if err != nil {
			return 0, fmt.Errorf("nftables generation: %w", err)
		}
		attributes.ByteOrder = binary.BigEndian
		for attributes.Next() {
			if attributes.Type() == unix.NFTA_GEN_ID {
				return attributes.Uint32(), nil
			}
		}
	}
	return 0, errors.New("nftables generation: no answer")
}

// handles lists the rules of our chains. The kernel never gives a handle of a table out twice.
func (g *guard) handles() (map[string][]uint64, error) {
	all := map[string][]uint64{}
	for _, c := range g.chains() {
		rules, err := g.conn.GetRules(c.Table, c)
		if err != nil {
			g.drain()
			return nil, fmt.Errorf("rules of nftables chain %s %s: %w", g.name, c.Name, err)
		}
		key := fmt.Sprintf("%d %s", c.Table.Family, c.Name)
		all[key] = []uint64{}
		for _, r := range rules {
			all[key] = append(all[key], r.Handle)
		}
	}
	return all, nil
}

// intact reports whether the tables are as installed. It is cheap while nobody changes any ruleset.
func (g *guard) intact() (bool, error) {
	gen, err := g.generation()
	if err != nil {
		return false, err
	}
	if !g.settled || gen == g.gen {
		return g.settled, nil
	}
	tables, err := g.tables()
	if err != nil || !maps.Equal(tables, g.installed) {
		return false, err
	}
	rules, err := g.handles()
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for key, want := range g.rules {
		if !slices.Equal(rules[key], want) {
			return false, nil
		}
	}
	same, err := g.guardsAll()
	if err != nil || !same {
		return false, nil // a set that can't be read is no guard
	}
	g.gen = gen
	return true, nil
}

// guardsAll reports whether the guarded sets have all they should.
func (g *guard) guardsAll() (bool, error) {
	four, six := byFamily(g.addrs)
	for set, want := range map[*nftables.Set][]netip.Addr{g.guarded4: four, g.guarded6: six, g.arpAll: four} {
		have, err := g.members(set)
		if err != nil || !slices.Equal(have, want) {
			return false, err
		}
	}
	return true, nil
}
