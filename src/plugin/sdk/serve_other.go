// Processes of their own need a unix system.

//go:build !unix

package hotplug

import (
	"fmt"
	"os"
	"runtime"
)

// Serve runs a plugin as a process of its own on unix systems; elsewhere it says that it cannot.
func Serve(plugin Plugin) {
	fmt.Fprintf(os.Stderr, "plugin `%s` cannot run in a process of its own on %s: link it statically\n", plugin.Name, runtime.GOOS)
	os.Exit(2)
}

func openProcess(m *Manager, name, path string) (instance, error) {
	return nil, fmt.Errorf("%w: plugins have no processes of their own on %s: link it statically", ErrUnsupported, runtime.GOOS)
}
