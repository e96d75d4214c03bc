// Package jobs has types that the host and the plugin of the tests share.
package jobs

import "hotwatch.invalid/hotplug"

// Job is registered on both sides.
type Job struct {
	Name  string
	Parts []Part
	By    map[string]int
}

// Part is a part of it.
type Part struct{ N *int }

// Register makes both known.
func Register() { hotplug.RegisterType("", Job{}) }
