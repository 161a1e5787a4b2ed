package conn_test

import (
	"bufio"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/vrrp"
	"github.com/solevip/solevip/vrrp/conn"
)

// TestWiresharkAgrees has tcpdump catch what we send and tshark take it apart.
func TestWiresharkAgrees(t *testing.T) {
	need(t, "tcpdump", "tshark")
	l := newLink(t)
	file := filepath.Join(t.TempDir(), "adverts.pcap")
	caught := capture(t, l.b, "right", file, 5)
	group := listen(t, l.a, conn.Options{Interface: "left"})
	unicast := listen(t, l.a, conn.Options{Interface: "left", Peers: []netip.Addr{right}})

	v2 := vrrp.Advert{Version: vrrp.V2, VRID: 3, Priority: 7, Interval: 5 * time.Second, Addresses: vips}
	pass := v2
	pass.Auth = vrrp.Pass("s3cret")
	plain := advert(4)
	plain.Checksum = vrrp.WithoutPseudoHeader
	if err := group.Send(v2, pass, advert(4), plain); err != nil {
		t.Fatal(err)
	}
	if err := unicast.Send(advert(5)); err != nil {
		t.Fatal(err)
	}
	if err := caught.Wait(); err != nil {
		t.Fatalf("tcpdump: %v", err)
	}

	const good = "1" // Wireshark's checksum status
	ip := "192.0.2.1|%s|255|0xc0|"
	to := func(dst, rest string) string { return strings.Replace(ip, "%s", dst, 1) + rest }
	want := []string{
		to("224.0.0.18", "2|3|7|2|5||"+good),
		to("224.0.0.18", "2|3|7|2|5||"+good),
		to("224.0.0.18", "3|4|100|2||100|"+good),
		to("192.0.2.2", "3|5|100|2||100|"+good),
	}
	if d := cmp.Diff(want, dissect(t, file, "FALSE", "frame.number != 4")); d != "" {
		t.Errorf("with pseudo-header (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[2:3], dissect(t, file, "TRUE", "frame.number == 4")); d != "" {
		t.Errorf("without pseudo-header (-want +got):\n%s", d)
	}
}

// capture starts tcpdump, and returns when it listens; it ends after n adverts.
func capture(t *testing.T, ns, device, file string, n int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", ns, "tcpdump", "-i", device, "--immediate-mode", "-U", "-w", file,
		"-c", strconv.Itoa(n), "ip proto 112")
	talk, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	for lines := bufio.NewScanner(talk); lines.Scan(); {
		if strings.Contains(lines.Text(), "listening on") {
			go func() {
				for lines.Scan() {
				}
			}()
			return cmd
		}
	}
	t.Fatal("tcpdump ended before it listened")
	return nil
}

// dissect is one line per packet that the filter lets through. Complaints of the dissector fail the test.
func dissect(t *testing.T, file, plain, filter string) []string {
	t.Helper()
	words := []string{"-r", file, "-o", "vrrp.v3_checksum_as_in_v2:" + plain, "-Y", filter, "-T", "fields", "-E", "separator=|"}
	for _, f := range []string{
		"ip.src", "ip.dst", "ip.ttl", "ip.dsfield", "vrrp.version", "vrrp.virt_rtr_id", "vrrp.prio", "vrrp.addr_count",
		"vrrp.adver_int", "vrrp.short_adver_int", "vrrp.checksum.status", "_ws.expert.message", "_ws.malformed",
	} {
		words = append(words, "-e", f)
	}
	out, err := exec.Command("tshark", words...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if n := len(fields); n < 3 || fields[n-1] != "" || fields[n-2] != "" {
			t.Errorf("the dissector complains: %s", line)
			continue
		}
		lines = append(lines, strings.Join(fields[:len(fields)-2], "|"))
	}
	return lines
}
