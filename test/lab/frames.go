//go:build linux

package lab

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// The observer's frames are written and read here by hand: the judge shares no code with what it
// judges, and it must send to a MAC address of its own choice.

const (
	etherARP  = 0x0806
	etherIPv4 = 0x0800

	// Echo identifiers: toNode + i goes to the MAC address of Nodes[i], asClient is sent by the client's kernel.
	toNode   = 0x5100
	asClient = 0x5200
)

// whoHas asks for the VIP. The sender's protocol address is zero (an ARP probe, RFC 5227), so that
// nobody learns from it, and the sender's hardware address carries a number that comes back in the answer.
func whoHas(vip netip.Addr, number uint8) []byte {
	mac := probeMAC(number)
	target := vip.As4()
	var f bytes.Buffer
	f.Write(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Write(mac)
	f.Write([]byte{0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1}) // Ethernet, IPv4, request
	f.Write(mac)
	f.Write(make([]byte, 4+6))
	f.Write(target[:])
	return f.Bytes()
}

// probeMAC gives the switch 256 stations to learn at the client's port, so that answers are not
// flooded.
func probeMAC(number uint8) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x4c, 0xff, 0, 0, number}
}

// arpAnswer reads an answer to whoHas: who gave it, and to which number.
func arpAnswer(frame []byte, vip netip.Addr) (from net.HardwareAddr, number uint8, ok bool) {
	want := vip.As4()
	if len(frame) < 42 || !bytes.Equal(frame[12:22], []byte{0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2}) || !bytes.Equal(frame[28:32], want[:]) {
		return nil, 0, false
	}
	to := frame[32:38]
	if !bytes.Equal(to[:5], probeMAC(0)[:5]) {
		return nil, 0, false
	}
	return net.HardwareAddr(bytes.Clone(frame[22:28])), to[5], true
}

// echo asks the VIP for an echo, at a given MAC address.
func echo(src port, to net.HardwareAddr, vip netip.Addr, id, seq uint16) []byte {
	icmp := echoMessage(id, seq)
	f := make([]byte, 0, 14+20+len(icmp))
	f = append(append(append(f, to...), src.mac...), 0x08, 0x00)
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, 1
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(icmp)))
	s, d := src.addr.As4(), vip.As4()
	copy(ip[12:], s[:])
	copy(ip[16:], d[:])
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return append(append(f, ip...), icmp...)
}

// echoMessage is the ICMP part (RFC 792).
func echoMessage(id, seq uint16) []byte {
	m := make([]byte, 16)
	m[0] = 8
	binary.BigEndian.PutUint16(m[4:], id)
	binary.BigEndian.PutUint16(m[6:], seq)
	copy(m[8:], "observer")
	binary.BigEndian.PutUint16(m[2:], checksum(m))
	return m
}

// echoAnswer reads an echo reply that comes from the VIP.
func echoAnswer(frame []byte, vip netip.Addr) (id, seq uint16, ok bool) {
	want := vip.As4()
	if len(frame) < 14+20+8 || frame[12] != 0x08 || frame[13] != 0 || frame[14] != 0x45 || frame[23] != 1 || !bytes.Equal(frame[26:30], want[:]) {
		return 0, 0, false
	}
	icmp := frame[34:]
	if icmp[0] != 0 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(icmp[4:]), binary.BigEndian.Uint16(icmp[6:]), true
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
