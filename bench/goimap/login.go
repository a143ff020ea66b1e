package goimap

import (
	"fmt"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"github.com/imclient/imclient/bench/fleet"
)

// logins are the mechanisms that go-sasl has for a client without TLS.
var logins = map[string]func() sasl.Client{
	sasl.Plain:     func() sasl.Client { return sasl.NewPlainClient("", fleet.User(0), fleet.Password) },
	sasl.Login:     func() sasl.Client { return sasl.NewLoginClient(fleet.User(0), fleet.Password) },
	sasl.Anonymous: func() sasl.Client { return sasl.NewAnonymousClient("trace") },
	sasl.OAuthBearer: func() sasl.Client {
		return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: fleet.User(0), Token: fleet.Password})
	},
}

// logIn makes connections beside those that are open, one after the other, that log
// in, and closes each when it has.
func (f *Fleet) logIn(mechanism string) func(c *imapclient.Client, depth int) (literals int64, err error) {
	return func(_ *imapclient.Client, depth int) (int64, error) {
		newClient, ok := logins[mechanism]
		if !ok {
			return 0, fmt.Errorf("goimap: no %s", mechanism)
		}
		for range depth {
			if err := f.logInOnce(newClient()); err != nil {
				return 0, err
			}
		}
		return 0, nil
	}
}

func (f *Fleet) logInOnce(by sasl.Client) error {
	c, err := imapclient.DialInsecure(f.addr, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Authenticate(by)
}
