package conn

import "golang.org/x/sys/unix"

var patient = []option{
	{unix.IPPROTO_TCP, unix.TCP_KEEPALIVE, 60},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	{unix.IPPROTO_TCP, unix.TCP_RXT_CONNDROPTIME, 120},
}
