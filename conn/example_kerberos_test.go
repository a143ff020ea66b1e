package conn_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/sasl"
)

// kerberosSample is the sample program of the manual page, imclient(3), as it is printed
// there, with Kerberos: it asks for the server's capabilities and prints them. (The page
// gives strstr its arguments the wrong way round, and exits where this returns an error.)
// There has to be a ticket, as kinit gets it.
func kerberosSample(stdout io.Writer, server, port string) error {
	loginClients := []sasl.Mechanism{sasl.GSSAPI(sasl.NewKerberos(sasl.KerberosOptions{}))}

	imclient, err := conn.Connect(server, port)
	if err != nil {
		return fmt.Errorf("couldn't connect to %s %s: %w", server, port, err)
	}
	defer imclient.Close()
	if err := imclient.Authenticate(loginClients, "imap" /* service */, "" /* user */, sasl.ProtAny); err != nil {
		return err
	}
	var capability string
	imclient.AddCallback(conn.Callback{
		Keyword: "CAPABILITY",
		Flags:   conn.CallbackNoLiteral,
		Proc: func(_ *conn.Client, rock any, reply *conn.Reply) {
			*rock.(*string) = string(reply.Text) // a copy: Text is lent
		},
		Rock: &capability,
	})
	nc := 1
	endCommand := func(_ *conn.Client, rock any, _ *conn.Reply) { *rock.(*int)-- }
	if err := imclient.Send(endCommand, &nc, "CAPABILITY"); err != nil {
		return err
	}
	for nc > 0 {
		if err := imclient.ProcessOneEvent(); err != nil {
			return err
		}
	}
	if strings.Contains(capability, "LITERAL+") {
		imclient.SetFlags(conn.NonSyncLiteral)
	}
	if err := imclient.Send(nil, nil, "LOGOUT"); err != nil {
		return err
	}
	_ = imclient.Close() // writes the LOGOUT first; always nil
	_, err = fmt.Fprintln(stdout, "capability text is:", capability)
	return err
}
