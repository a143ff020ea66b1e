package sasl

import (
	"bytes"
	"context"
	"fmt"

	gosasl "github.com/emersion/go-sasl"
)

// Wrap is any [gosasl.Client] as a mechanism: name is its registered name, traits
// are what it is worth (say Cleartext if it sends a secret), and client makes one for
// each login.
//
// As such a client may block, it is called in Step.Work. It has no way to say when it is
// satisfied, so an OK is taken at any time after a response, unless it has a method
// Satisfied() bool.
func Wrap(name string, traits Traits, client func(Params) (gosasl.Client, error)) Mechanism {
	return &wrapped{name: name, traits: traits, client: client}
}

type wrapped struct {
	opaque
	name   string
	traits Traits
	client func(Params) (gosasl.Client, error)
	ready  func(Params) error // nil: always
	quick  bool               // the client never blocks
}

func (m *wrapped) Name() string { return m.name }

func (m *wrapped) Traits() Traits { return m.traits }

func (m *wrapped) Ready(params Params) error {
	if m.ready == nil {
		return nil
	}
	return m.ready(params)
}

func (m *wrapped) New(params Params) Exchange { return &wrappedExchange{m: m, params: params} }

type wrappedExchange struct {
	opaque
	m      *wrapped
	params Params
	client gosasl.Client
	phase  phase
}

func (x *wrappedExchange) Start() (Step, error) {
	if !x.phase.move(fresh, asking) {
		return Step{}, ErrFinished
	}
	return x.work(func() ([]byte, error) {
		client, err := x.m.client(x.params)
		if err != nil {
			return nil, err
		}
		name, response, err := client.Start()
		if err == nil && name != x.m.name {
			err = fmt.Errorf("the client speaks %q", name)
		}
		x.client = client
		return response, err
	})
}

func (x *wrappedExchange) Next(challenge []byte) (Step, error) {
	if !x.phase.move(answered, asking) {
		return Step{}, ErrFinished
	}
	if !x.m.quick {
		challenge = bytes.Clone(challenge)
	}
	if challenge == nil {
		challenge = []byte{} // nil is no challenge to some clients
	}
	return x.work(func() ([]byte, error) { return x.client.Next(challenge) })
}

// work runs f, here or off the loop.
func (x *wrappedExchange) work(f func() ([]byte, error)) (Step, error) {
	run := func(ctx context.Context) (Step, error) {
		err := ctx.Err()
		if err != nil {
			return Step{}, err
		}
		response, err := f()
		if err != nil {
			x.phase = ended
			return Step{}, fmt.Errorf("sasl: %s: %w", x.m.name, err)
		}
		x.phase = answered
		return Step{Response: response}, nil
	}
	if x.m.quick {
		return run(context.Background())
	}
	return Step{Work: run}, nil
}

func (x *wrappedExchange) Satisfied() bool {
	if c, ok := x.client.(interface{ Satisfied() bool }); ok {
		return x.phase == answered && c.Satisfied()
	}
	return x.phase == answered
}
