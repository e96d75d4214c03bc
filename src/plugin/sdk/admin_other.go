// The admin socket needs file permissions that keep others out.

//go:build !unix

package hotplug

import (
	"fmt"
	"runtime"
)

type admin struct{}

// AdminPath is empty where there is no admin socket.
func AdminPath() string { return "" }

func openAdmin(m *Manager, path string) (*admin, error) {
	return nil, fmt.Errorf("%w: there is no admin socket on %s: leave `WithAdmin` out", ErrUnsupported, runtime.GOOS)
}

func (a *admin) close() {}
