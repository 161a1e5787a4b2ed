//go:build linux

// Package netns_test holds the faults that solevip promises to survive, on real packets: real
// binaries, each machine in a network namespace, BMCs that really cut power, and package lab's judge, which
// asks every machine by its own MAC address. What a daemon says about itself is compared with what the judge saw, never
// taken for it.
//
// The tests need root; they skip without it.
package netns_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

// The binaries under test, built once.
var solevip, solevipLab string

// figures are printed at the end, one line per fault.
var figures []string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := lab.Available(lab.Solevip); err != nil {
		fmt.Println("real packets are left out:", err)
		return m.Run() // each test skips with the reason
	}
	dir, err := os.MkdirTemp("", "solevip-netns-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	solevip, solevipLab = filepath.Join(dir, "solevip"), filepath.Join(dir, "solevip-lab")
	build := exec.Command("go", "build", "-o", dir+"/", "../../cmd/solevip", "../../cmd/solevip-lab")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("build: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := tellFigures(); err != nil {
		fmt.Println("figures:", err)
		return 1
	}
	return code
}

// tellFigures prints what was measured and, because go test keeps what passing tests print to itself unless -v
// is given, adds it to the file that SOLEVIP_FIGURES names.
func tellFigures() error {
	if len(figures) == 0 {
		return nil
	}
	text := "\nmeasured on real packets:\n   " + strings.Join(figures, "\n   ") + "\n"
	fmt.Print(text)
	path := os.Getenv("SOLEVIP_FIGURES")
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// note keeps a fault's figures for the end.
func note(name string, ttl time.Duration, r lab.Report) {
	figures = append(figures, fmt.Sprintf("%-44s ttl %-5v client outage %8s, two holders %5s",
		name, ttl, lab.Milliseconds(r.Outage.Length()), lab.Milliseconds(r.TwoHolders)))
}
