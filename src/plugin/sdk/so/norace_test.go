//go:build !race

package so_test

const race = false
