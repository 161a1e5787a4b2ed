package vrrp

import (
	"encoding/binary"
	"net/netip"
)

const protocol = 112 // VRRP's number in the IP header (RFC 9568 section 5.1.1.4)

// sum adds the 16-bit words of b to a running one's-complement sum (RFC 1071).
func sum(b []byte, acc uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	return acc
}

// fold brings a sum down to 16 bits.
func fold(acc uint32) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// checksum is the value for the checksum field of b, which must be zero there.
func checksum(b []byte, seed uint32) uint16 { return ^fold(sum(b, seed)) }

// pseudoHeader is the sum of source, destination, length and protocol: of RFC 8200 section 8.1 for
// IPv6, and of RFC 5798's usual reading for IPv4.
func pseudoHeader(src, dst netip.Addr, length int) uint32 {
	acc := sum(src.AsSlice(), 0)
	acc = sum(dst.AsSlice(), acc)
	return acc + uint32(length) + protocol
}

// verify is the dialect in which the checksum of b is right, or an error when none is. The pseudo-header
// goes first; where both are right (its sum is zero) there is no difference to see.
func verify(b []byte, v Version, src, dst netip.Addr) (Checksum, error) {
	plain := fold(sum(b, 0)) == 0xffff
	pseudo := fold(sum(b, pseudoHeader(src, dst, len(b)))) == 0xffff
	switch {
	case v == V2 && plain:
		return 0, nil // version 2 has one dialect; see Checksum
	case v == V3 && pseudo:
		return WithPseudoHeader, nil
	case v == V3 && plain && src.Is4():
		return WithoutPseudoHeader, nil
	}
	return 0, malformed("checksum %04x is wrong", binary.BigEndian.Uint16(b[6:]))
}
