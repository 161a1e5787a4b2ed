//go:build !linux

// Command solevip-lab runs a cluster in network namespaces, which only Linux has.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "solevip-lab: error: needs Linux, for its network namespaces")
	os.Exit(1)
}
