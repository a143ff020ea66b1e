package sasl

import "testing"

// The response is the caller's: the end of the exchange does not touch it.
func TestLoginResponse(t *testing.T) {
	x := Login(pencil).New(Params{})
	client, err := play(x, [][]byte{[]byte("User Name"), []byte("Password")})
	if err != nil {
		t.Fatal(err)
	}
	x.(Outcome).Done(nil)
	if string(client[2]) != "pencil" {
		t.Errorf("got: %q", client[2])
	}
}
