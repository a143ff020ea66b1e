package main

const maxrssUnit = 1 // bytes: ru_maxrss is in bytes
