package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Advert is a VRRP ADVERTISEMENT, the only packet there is.
type Advert struct {
	Version   Version
	VRID      uint8         // 1 to 255
	Priority  uint8         // 0: the active router gives up
	Interval  time.Duration // between the sender's adverts: centiseconds in version 3, seconds in version 2
	Addresses []netip.Addr  // of the virtual router; 1 to 255 of one family; IPv6: a link-local one first
	Auth      Auth          // version 2 only
	Checksum  Checksum      // version 3 over IPv4 only: the dialect
}

// Checksum is what the checksum of a version 3 packet over IPv4 covers. Senders disagree: most read RFC
// 5798 as asking for the pseudo-header, RFC 9568 section 5.2.8 says that IPv4 has none.
// Version 2 never has one, IPv6 always.
type Checksum uint8

// The dialects. The zero value is what keepalived and FRR send unless told otherwise.
const (
	WithPseudoHeader Checksum = iota
	WithoutPseudoHeader
)

func (c Checksum) String() string {
	if c == WithoutPseudoHeader {
		return "without pseudo-header"
	}
	return "with pseudo-header"
}

// ErrMalformed is the cause of every error of [Parse]: the packet must be discarded.
var ErrMalformed = errors.New("malformed advert")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

const (
	typeAdvert = 1 // RFC 9568 section 5.2.2
	headerLen  = 8
	authLen    = 8    // version 2 always carries them (RFC 3768 section 5.3.10)
	centis     = 4095 // mask of the interval in version 3; the four bits above are reserved
	centi      = 10 * time.Millisecond
)

// Marshal is the packet as it goes behind the IP header, from src to dst.
func (a Advert) Marshal(src, dst netip.Addr) ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("marshal advert: %w", err)
	}
	if six := a.Addresses[0].Is6(); !src.IsValid() || !dst.IsValid() || src.Is6() != six || dst.Is6() != six {
		return nil, fmt.Errorf("marshal advert: from %v to %v, but its addresses are like %v", src, dst, a.Addresses[0])
	}
	b := make([]byte, headerLen, headerLen+16*len(a.Addresses)+authLen)
	b[0] = uint8(a.Version)<<4 | typeAdvert
	b[1], b[2], b[3] = a.VRID, a.Priority, uint8(len(a.Addresses))
	if a.Version == V2 {
		b[4], b[5] = uint8(a.Auth.Type), uint8(a.Interval/time.Second)
	} else {
		binary.BigEndian.PutUint16(b[4:], uint16(a.Interval/centi))
	}
	for _, ip := range a.Addresses {
		b = append(b, ip.AsSlice()...)
	}
	if a.Version == V2 {
		text := a.Auth.bytes()
		b = append(b, text[:]...)
	}
	seed := uint32(0)
	if a.Version == V3 && (src.Is6() || a.Checksum == WithPseudoHeader) {
		seed = pseudoHeader(src, dst, len(b))
	}
	binary.BigEndian.PutUint16(b[6:], checksum(b, seed))
	return b, nil
}

// check refuses what no packet can say.
func (a Advert) check() error {
	if a.Version != V2 && a.Version != V3 {
		return fmt.Errorf("version %d: 2 and 3 are known", a.Version)
	}
	if a.VRID == 0 {
		return errors.New("virtual router id 0: 1 to 255 are allowed")
	}
	if err := checkInterval(a.Version, a.Interval); err != nil {
		return err
	}
	if err := checkAddresses(a.Version, a.Addresses); err != nil {
		return err
	}
	if a.Version == V3 && a.Auth != (Auth{}) {
		return errors.New("VRRPv3 has no authentication")
	}
	return a.Auth.check()
}

// checkAddresses refuses lists that RFC 9568 section 5.2.9 does (with errata 8299 and 8300).
func checkAddresses(v Version, list []netip.Addr) error {
	if len(list) == 0 || len(list) > 255 {
		return fmt.Errorf("%d addresses: an advert carries 1 to 255", len(list))
	}
	six := list[0].Is6()
	for _, ip := range list {
		switch {
		case !ip.IsValid() || ip.Zone() != "" || ip.Is4In6():
			return fmt.Errorf("address %v: a plain IPv4 or IPv6 address is needed", ip)
		case ip.Is6() != six:
			return fmt.Errorf("addresses %v and %v are of two families: use one virtual router for each", list[0], ip)
		}
	}
	switch {
	case six && v == V2:
		return fmt.Errorf("address %v: VRRPv2 carries IPv4 only", list[0])
	case six && !list[0].IsLinkLocalUnicast():
		return fmt.Errorf("address %v: the first IPv6 address must be a link-local one (RFC 9568 section 5.2.9)", list[0])
	}
	return nil
}

// Parse is the advert in what came behind the IP header of a packet from src to dst, or an error
// that wraps [ErrMalformed]. Bytes behind the advert are taken for the link's padding; both
// checksum dialects are accepted, and the result says which it was.
func Parse(b []byte, src, dst netip.Addr) (Advert, error) {
	src, dst = src.Unmap(), dst.Unmap()
	n, err := extent(b, src.Is6())
	if err != nil {
		return Advert{}, err
	}
	b = b[:n]
	a := Advert{Version: Version(b[0] >> 4), VRID: b[1], Priority: b[2]}
	if a.Checksum, err = verify(b, a.Version, src, dst); err != nil {
		return Advert{}, err
	}
	if a.VRID == 0 {
		return Advert{}, malformed("virtual router id 0")
	}
	rest := b[headerLen:]
	if a.Version == V2 {
		a.Interval = time.Duration(b[5]) * time.Second
		if a.Auth, err = parseAuth(b[4], rest[len(rest)-authLen:]); err != nil {
			return Advert{}, err
		}
		rest = rest[:len(rest)-authLen]
	} else {
		a.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&centis) * centi // reserved bits: RFC 9568 section 5.2.6
	}
	if a.Interval == 0 {
		return Advert{}, malformed("interval 0")
	}
	for raw := range slices.Chunk(rest, src.BitLen()/8) {
		ip, _ := netip.AddrFromSlice(raw)
		a.Addresses = append(a.Addresses, ip)
	}
	if err := checkAddresses(a.Version, a.Addresses); err != nil {
		return Advert{}, malformed("%v", err)
	}
	return a, nil
}

// extent is the length of the advert at the start of b, once its header makes sense.
func extent(b []byte, six bool) (int, error) {
	if len(b) < headerLen {
		return 0, malformed("%d bytes, the header alone has %d", len(b), headerLen)
	}
	version, kind, count := Version(b[0]>>4), b[0]&0xf, int(b[3])
	n := headerLen + 4*count
	switch {
	case version != V2 && version != V3:
		return 0, malformed("version %d", version)
	case kind != typeAdvert:
		return 0, malformed("type %d", kind)
	case count == 0:
		return 0, malformed("no addresses") // erratum 8299
	case version == V2 && six:
		return 0, malformed("version 2 over IPv6")
	case version == V2:
		n += authLen
	case six:
		n = headerLen + 16*count
	}
	if len(b) < n {
		return 0, malformed("%d bytes, %d addresses need %d", len(b), count, n)
	}
	return n, nil
}

func (a Advert) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v vrid %d priority %d every %v", a.Version, a.VRID, a.Priority, a.Interval)
	for i, ip := range a.Addresses {
		if i == 4 && len(a.Addresses) > 5 {
			fmt.Fprintf(&s, " and %d more", len(a.Addresses)-i)
			break
		}
		s.WriteByte(' ')
		s.WriteString(ip.String())
	}
	if a.Auth.Type != AuthNone {
		s.WriteString(" " + a.Auth.String())
	}
	return s.String()
}
