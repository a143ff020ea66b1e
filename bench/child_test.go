//go:build linux

package bench

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/bench/server"
)

// child is another process, which answers each line of JSON on its standard
// input with one on its standard output.
type child struct {
	role      string
	cmd       *exec.Cmd
	requests  *json.Encoder
	responses *json.Decoder
	end       func() // lets it end now and not with tb
}

// startRole has this binary run itself again, as a server or a side.
func startRole(tb testing.TB, role string) *child {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+role,
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0") // or each race build waits a second to end
	return startChild(tb, role, cmd)
}

// startChild starts a child that ends with tb, when its standard input is
// closed, by the kernel if by nobody else; should it be at work at that moment,
// the death of its parent kills it.
func startChild(tb testing.TB, role string, cmd *exec.Cmd) *child {
	tb.Helper()
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		if tb.Failed() {
			cmd.Process.Kill()
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil && !tb.Failed() {
			tb.Errorf("%s did not end as it should: %v", role, err)
		}
	})
	tb.Cleanup(end)
	return &child{role, cmd, json.NewEncoder(stdin), json.NewDecoder(stdout), end}
}

func (c *child) send(tb testing.TB, request any) {
	tb.Helper()
	if err := c.requests.Encode(request); err != nil {
		tb.Fatalf("%s takes no requests: %v", c.role, err)
	}
}

func (c *child) receive(tb testing.TB, response any) {
	tb.Helper()
	if err := c.responses.Decode(response); err != nil {
		tb.Fatalf("%s gives no answers: %v", c.role, err)
	}
}

// serverProcess is a server of its own for one fleet.
type serverProcess struct {
	*child
	last server.Status
}

func startServer(tb testing.TB, role string) *serverProcess {
	tb.Helper()
	s := &serverProcess{child: startRole(tb, role)}
	s.receive(tb, &s.last)
	return s
}

// done returns what the server has counted since it was last asked.
func (s *serverProcess) done(tb testing.TB) server.Status {
	tb.Helper()
	before := s.last
	s.last = server.Status{}
	s.send(tb, struct{}{})
	s.receive(tb, &s.last)
	return s.last.Since(before)
}

// forFleet returns what a fleet is told of the server.
func (s *serverProcess) forFleet(tb testing.TB) fleet.Server {
	tb.Helper()
	ccache, err := base64.StdEncoding.DecodeString(s.last.CCache)
	if err != nil {
		tb.Fatal(err)
	}
	return fleet.Server{
		Addr:   s.last.Addr,
		CA:     fileOf(tb, "ca.pem", []byte(s.last.CA)),
		CCache: fileOf(tb, "ccache", ccache),
	}
}

// fileOf returns the path of a file that lives as long as tb; "": it would be empty.
func fileOf(tb testing.TB, name string, contents []byte) string {
	tb.Helper()
	if len(contents) == 0 {
		return ""
	}
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// fleetProcess is one side of a race.
type fleetProcess struct {
	*child
}

func startFleet(tb testing.TB, name string) fleetProcess {
	tb.Helper()
	return fleetProcess{startRole(tb, name)}
}

// try returns the fleet's error in the response.
func (f fleetProcess) try(tb testing.TB, req fleet.Request) (resp fleet.Response) {
	tb.Helper()
	f.send(tb, req)
	f.receive(tb, &resp)
	return resp
}

func (f fleetProcess) do(tb testing.TB, req fleet.Request) fleet.Response {
	tb.Helper()
	resp := f.try(tb, req)
	if resp.Error != "" {
		tb.Fatalf("%s could not %s: %s", f.role, req.Op, resp.Error)
	}
	return resp
}
