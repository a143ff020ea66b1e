//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "testbed: needs Linux; what needs no servers runs with: go test ./...")
	os.Exit(125)
}
