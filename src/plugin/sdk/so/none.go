// Where Go has no plugins, or the host was built without cgo.

//go:build !cgo || !(linux || darwin || freebsd)

package so

import (
	"fmt"
	"runtime"

	"hotwatch.invalid/hotplug"
)

func open(path string) (*hotplug.Plugin, error) {
	if runtime.GOOS == "linux" || runtime.GOOS == "darwin" || runtime.GOOS == "freebsd" {
		return nil, fmt.Errorf("%w: this host was built without cgo: build it with `CGO_ENABLED=1`, or the plugin as a process", hotplug.ErrUnsupported)
	}
	return nil, fmt.Errorf("%w: Go has no shared objects on %s: link the plugin statically", hotplug.ErrUnsupported, runtime.GOOS)
}
