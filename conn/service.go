package conn

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// services are known also where there is no /etc/services.
var services = map[string]int{"imap": 143, "imap2": 143, "imsp": 406, "acap": 674, "imaps": 993}

// servicePort returns the number of a port that was given as a number or as a
// service's name; "" is usual's.
func servicePort(port, usual string) (int, error) {
	if port == "" {
		port = usual
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
		return int(n), nil
	}
	if n, ok := services[port]; ok {
		return n, nil
	}
	if strings.TrimSpace(port) == port { // LookupPort would take " 143"
		if n, err := net.LookupPort("tcp", port); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: %q is neither a port number nor a service in /etc/services", ErrServiceNotFound, port)
}
