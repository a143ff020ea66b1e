package conn_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/imclient/imclient/sasl"
)

// The manual page's program finds the user's ticket in the environment, and with a layer
// is told what the server can do for who is in.
func TestCyrusKerberosSample(t *testing.T) {
	_, port, err := net.SplitHostPort(fromBed(t, "CYRUS"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KRB5_CONFIG", fromBed(t, "KRB5_CONFIG"))
	t.Setenv("KRB5CCNAME", fromBed(t, "KRB5_CCACHE"))
	var out strings.Builder
	if err := kerberosSample(&out, "localhost", port); err != nil {
		t.Fatalf("the program logs in: %v", err)
	}
	// Of QUOTA Cyrus tells only who is in.
	if got := out.String(); !strings.HasPrefix(got, "capability text is: IMAP4rev1 ") || !strings.Contains(got, " QUOTA ") {
		t.Errorf("it prints what the server says\n got: %q", got)
	}
	out.Reset()
	t.Setenv("KRB5CCNAME", "FILE:"+t.TempDir()+"/none")
	t.Setenv("KRB5_CLIENT_KTNAME", t.TempDir()+"/none")
	if err := kerberosSample(&out, "localhost", port); !errors.Is(err, sasl.ErrAuthFailed) || kerberosKind(err) != sasl.KerberosNoCredentials || out.Len() > 0 {
		t.Errorf("without a ticket it does not\n got: %v, %q", err, &out)
	}
}
