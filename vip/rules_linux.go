package vip

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Hooks of the arp family (linux/netfilter_arp.h).
const (
	nfARPIn  = 0
	nfARPOut = 1
)

// Offsets in bytes: of addresses in the network header, of the target in a neighbour message (RFC 4861 §4.3, §4.4),
// and of the fields of an ARP packet for Ethernet and IPv4 (RFC 826).
const (
	ip4Source, ip4Target = 12, 16
	ip6Source, ip6Target = 8, 24
	ndTarget             = 8
	arpOperation         = 6
	arpSender, arpTarget = 14, 24
)

const (
	arpRequest           = 1
	neighbourSolicit     = 135
	neighbourAdvertise   = 136
	addressTypeLocal     = unix.RTN_LOCAL
	firstRegister        = 1
	networkHeader        = expr.PayloadBaseNetworkHeader
	transportHeader      = expr.PayloadBaseTransportHeader
	lengthOf4, lengthOf6 = 4, 16
)

// addRules queues every rule. Each says: about a guarded address, and that address isn't live: drop.
func (g *guard) addRules() {
	four := g.about(g.guarded4, g.live4)
	six := g.about(g.guarded6, g.live6)
	arp := g.about(g.arpAll, g.arpLive)

	// In, before NAT can turn the packet into one for another address. Only what would end here: traffic that is
	// routed on to the address's present holder passes, so the type of the destination has to be local.
	g.rule(g.prerouting, ip4(), four(networkHeader, ip4Target), local())
	g.rule(g.prerouting, ip6(), six(networkHeader, ip6Target), local())

	// In, whatever made it end here. Neighbour solicitations go to a multicast group: they're known by their target.
	g.rule(g.input, ip4(), four(networkHeader, ip4Target))
	g.rule(g.input, ip6(), six(networkHeader, ip6Target))
	g.rule(g.input, ip6(), icmp6(neighbourSolicit), six(transportHeader, ndTarget))

	// Out: nothing speaks as the address, and no advertisement claims it.
	g.rule(g.output, ip4(), four(networkHeader, ip4Source))
	g.rule(g.output, ip6(), six(networkHeader, ip6Source))
	g.rule(g.output, ip6(), icmp6(neighbourAdvertise), six(transportHeader, ndTarget))

	// ARP: questions about the address go unheard, unless they are the holder's own announcement (RFC 5227 §3: sender
	// and target are the address), which must still update our neighbour table. Nothing is said in its name.
	g.rule(g.arpInput, arpRequests(), arp(networkHeader, arpTarget), notAbout(g.arpAll, networkHeader, arpSender))
	g.rule(g.arpOutput, arp(networkHeader, arpSender))
}

func (g *guard) rule(c *nftables.Chain, matches ...[]expr.Any) {
	var all []expr.Any
	for _, m := range matches {
		all = append(all, m...)
	}
	g.conn.AddRule(&nftables.Rule{
		Table: c.Table, Chain: c,
		Exprs: append(all, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}),
	})
}

// about matches packets whose field is an address of all that isn't in live.
func (g *guard) about(all, live *nftables.Set) func(expr.PayloadBase, uint32) []expr.Any {
	length := all.KeyType.Bytes
	return func(base expr.PayloadBase, offset uint32) []expr.Any {
		return []expr.Any{
			load(base, offset, length),
			&expr.Lookup{SourceRegister: firstRegister, SetName: all.Name, SetID: all.ID},
			&expr.Lookup{SourceRegister: firstRegister, SetName: live.Name, SetID: live.ID, Invert: true},
		}
	}
}

func notAbout(all *nftables.Set, base expr.PayloadBase, offset uint32) []expr.Any {
	return []expr.Any{
		load(base, offset, all.KeyType.Bytes),
		&expr.Lookup{SourceRegister: firstRegister, SetName: all.Name, SetID: all.ID, Invert: true},
	}
}

func ip4() []expr.Any { return protocol(unix.NFPROTO_IPV4) }
func ip6() []expr.Any { return protocol(unix.NFPROTO_IPV6) }

func protocol(family byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: firstRegister},
		equal([]byte{family}),
	}
}

func icmp6(kind byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: firstRegister},
		equal([]byte{unix.IPPROTO_ICMPV6}),
		load(transportHeader, 0, 1),
		equal([]byte{kind}),
	}
}

func local() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: firstRegister, ResultADDRTYPE: true, FlagDADDR: true},
		equal(binary.NativeEndian.AppendUint32(nil, addressTypeLocal)),
	}
}

func arpRequests() []expr.Any {
	return []expr.Any{
		load(networkHeader, arpOperation, 2),
		equal([]byte{0, arpRequest}),
	}
}

func load(base expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: firstRegister, Base: base, Offset: offset, Len: length}
}

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: data}
}
