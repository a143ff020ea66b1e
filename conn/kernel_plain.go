//go:build unix && !linux && !darwin && !freebsd && !netbsd

package conn

// patient is empty where the times are the system's own (sysctl).
var patient []option
