//go:build unix && !darwin

package main

const maxrssUnit = 1 << 10 // bytes: ru_maxrss is in KiB
