package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Answer carries out requests, a line of JSON each, until in ends, and writes their
// responses. who begins its errors.
func Answer[Request, Response any](who string, in io.Reader, out io.Writer, do func(Request) Response) error {
	requests, responses := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var req Request
		if err := requests.Decode(&req); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: reading a request: %w", who, err)
		}
		if err := responses.Encode(do(req)); err != nil {
			return fmt.Errorf("%s: writing a response: %w", who, err)
		}
	}
}
