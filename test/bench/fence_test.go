// Package bench measures what the documentation promises, beside what others need for the same.
package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/fence/agent"
	"github.com/solevip/solevip/fence/ipmi"
	"github.com/solevip/solevip/fence/redfish"
	"github.com/solevip/solevip/fence/script"
	"github.com/solevip/solevip/test/bmc"
	"github.com/solevip/solevip/test/redfishbmc"
)

const password = "s3cret-of-bmc"

// BenchmarkFence is the time from the command until power was read as off, on a machine that is on. All
// but redfish switch the same simulated BMC, whose switch is a shell script that kills a process;
// the BMC of redfish is in this process. Pauses of package fence are not in it.
//
//	go test -run '^$' -bench Fence ./test/bench
func BenchmarkFence(b *testing.B) {
	s := simulated(b)
	host, port, _ := strings.Cut(s.Addr(), ":")
	values := map[string]string{"ip": host, "ipport": port, "username": "fence", "lanplus": "1", "cipher": "3"}

	b.Run("ipmi", func(b *testing.B) {
		d, err := ipmi.New(ipmi.Options{Address: s.Addr(), Username: "fence", Password: password})
		measure(b, s.PowerOn, offAndRead(d, err))
	})
	b.Run("redfish", func(b *testing.B) {
		m := &redfishbmc.Machine{UUID: "4c4c4544-0042-3510-8052-b4c04f4e4d31"}
		r := redfishbmc.New(b, map[string]*redfishbmc.Machine{"1": m})
		d, err := redfish.New(redfish.Options{Address: r.Address(), Username: redfishbmc.Username, Password: redfishbmc.Password, CA: r.CA()})
		on := func() error {
			r.Replace(map[string]*redfishbmc.Machine{"1": {UUID: m.UUID, Power: "On"}})
			return nil
		}
		measure(b, on, offAndRead(d, err))
	})
	b.Run("script calling ipmitool", func(b *testing.B) {
		needs(b, "ipmitool")
		d, err := script.New(script.Options{Path: ipmitoolScript(b, host, port)})
		measure(b, s.PowerOn, offAndRead(d, err))
	})
	b.Run("agent fence_ipmilan", func(b *testing.B) {
		measure(b, s.PowerOn, offAndRead(ipmilan(b, values)))
	})
	b.Run("agent fence_ipmilan with power_wait=0", func(b *testing.B) {
		values["power_wait"] = "0"
		measure(b, s.PowerOn, offAndRead(ipmilan(b, values)))
	})
	b.Run("fence_ipmilan by itself", func(b *testing.B) {
		needs(b, "fence_ipmilan")
		var in strings.Builder
		for name, value := range values {
			if name != "power_wait" {
				in.WriteString(name + "=" + value + "\n")
			}
		}
		in.WriteString("password=" + password + "\naction=off\n")
		measure(b, s.PowerOn, func(context.Context) error { // reads by itself that power is off
			cmd := exec.Command("fence_ipmilan")
			cmd.Stdin = strings.NewReader(in.String())
			return cmd.Run()
		})
	})
	for _, cipher := range [][]string{{"-C", "3"}, nil} { // without, ipmitool asks the BMC for its suites first
		b.Run("ipmitool "+strings.Join(cipher, " ")+" off and status", func(b *testing.B) {
			needs(b, "ipmitool")
			measure(b, s.PowerOn, func(context.Context) error {
				for _, verb := range []string{"off", "status"} {
					args := append([]string{"-I", "lanplus", "-H", host, "-p", port, "-U", "fence", "-E"}, cipher...)
					cmd := exec.Command("ipmitool", append(args, "chassis", "power", verb)...)
					cmd.Env = append(os.Environ(), "IPMI_PASSWORD="+password)
					if err := cmd.Run(); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

// measure runs off on machines that are on, and reports milliseconds.
func measure(b *testing.B, on func() error, off func(context.Context) error) {
	var took time.Duration
	for b.Loop() {
		b.StopTimer()
		if err := on(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began := time.Now()
		if err := off(b.Context()); err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
	}
	b.ReportMetric(float64(took.Microseconds())/1000/float64(b.N), "ms")
}

// offAndRead commands a device, and reads it until it is off.
func offAndRead(d fence.Device, err error) func(context.Context) error {
	shot := fence.Shot{Target: "db1", Node: "db2", Epoch: 42, Group: "mysql"}
	return func(ctx context.Context) error {
		if err != nil {
			return err
		}
		if err := d.Off(ctx, shot); err != nil {
			return err
		}
		for {
			if power, err := d.Status(ctx, shot); err != nil || power == fence.PowerOff {
				return err
			}
		}
	}
}

// simulated is a BMC whose host takes power off as a process takes SIGKILL.
func simulated(b *testing.B) *bmc.BMC {
	b.Helper()
	if err := bmc.Available(); err != nil {
		b.Skip(err)
	}
	s, err := bmc.Start(b.Context(), bmc.Options{Dir: b.TempDir(), Name: "db1", Password: password, Boot: "exec sleep 1000"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func ipmilan(b *testing.B, values map[string]string) (fence.Device, error) {
	needs(b, "fence_ipmilan")
	m, err := agent.Read(b.Context(), "fence_ipmilan")
	if err != nil {
		return nil, err
	}
	return agent.New(m, agent.Options{Values: values, Secrets: map[string]string{"password": password}})
}

// ipmitoolScript is what an operator would write for a script device.
func ipmitoolScript(b *testing.B, host, port string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "power")
	text := `#!/bin/sh
power() { IPMI_PASSWORD=` + password + ` ipmitool -I lanplus -C 3 -H ` + host + ` -p ` + port + ` -U fence -E chassis power "$1"; }
case $1 in
status) case $(power status) in *off) exit 2 ;; *on) exit 0 ;; *) exit 1 ;; esac ;;
off) power off ;;
esac
`
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		b.Fatal(err)
	}
	return path
}

func needs(b *testing.B, program string) {
	b.Helper()
	if _, err := exec.LookPath(program); err != nil {
		b.Skip(err)
	}
}
