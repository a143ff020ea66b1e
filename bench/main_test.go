//go:build linux

package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/bench/floor"
	"github.com/imclient/imclient/bench/goimap"
	"github.com/imclient/imclient/bench/loops"
	"github.com/imclient/imclient/bench/ours"
	"github.com/imclient/imclient/bench/server"
	"github.com/imclient/imclient/bench/storm"
	"github.com/imclient/imclient/bench/tlsfloor"
	"github.com/imclient/imclient/sasl"
)

// roleEnv makes this binary, when it runs itself again, a server or a side.
const roleEnv = "IMCLIENT_BENCH_ROLE"

const (
	serverRole    = "server"
	tlsServerRole = "tlsserver"
	stormRole     = "storm"
)

// loopRoles are the loops of the race of loops that run in Go, by name.
var loopRoles = map[string]func() loops.Side{
	"bare":       func() loops.Side { return new(loops.Bare) },
	"barenested": func() loops.Side { return &loops.Bare{Nested: true} },
	"loop":       func() loops.Side { return new(loops.Ours) },
	"nested":     func() loops.Side { return &loops.Ours{Depth: 1} },
}

// fleets are the sides that a race can have, by name.
var fleets = map[string]func() fleet.Fleet{
	"ours":      func() fleet.Fleet { return new(ours.Fleet) },
	"floor":     func() fleet.Fleet { return new(floor.Fleet) },
	"goimap":    func() fleet.Fleet { return new(goimap.Fleet) },
	"tls":       func() fleet.Fleet { return new(ours.Fleet) },
	"nolayer":   func() fleet.Fleet { return &ours.Fleet{Prot: sasl.ProtNone} },
	"integrity": func() fleet.Fleet { return &ours.Fleet{Prot: sasl.ProtIntegrity} },
	"privacy":   func() fleet.Fleet { return &ours.Fleet{Prot: sasl.ProtPrivacy} },
	"tlsfloor":  func() fleet.Fleet { return new(tlsfloor.Fleet) },
}

// layered are the sides that log in with a security layer.
var layered = map[string]bool{"integrity": true, "privacy": true}

// serverOf returns the role of the server that a side needs.
func serverOf(name string) string {
	if strings.HasPrefix(name, "tls") {
		return tlsServerRole
	}
	return serverRole
}

func TestMain(m *testing.M) {
	role, ok := os.LookupEnv(roleEnv)
	if !ok {
		code := m.Run()
		if *showTable {
			printTable(os.Stdout)
			printRates(os.Stdout)
		}
		os.Exit(code)
	}
	if err := play(role); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", role, err)
		os.Exit(1)
	}
}

func play(role string) error {
	switch role {
	case serverRole:
		s, err := server.Listen()
		return serve(s, err)
	case tlsServerRole:
		s, err := server.ListenTLS()
		return serve(s, err)
	}
	if newFleet, ok := fleets[role]; ok {
		return fleet.Serve(newFleet(), os.Stdin, os.Stdout)
	}
	if role == stormRole {
		return storm.Serve(os.Stdin, os.Stdout)
	}
	if newLoop, ok := loopRoles[role]; ok {
		return loops.Serve(newLoop(), os.Stdin, os.Stdout)
	}
	return fmt.Errorf("no such role")
}

func serve(s server.Serving, err error) error {
	if err != nil {
		return err
	}
	return server.Process(s, os.Stdin, os.Stdout)
}
