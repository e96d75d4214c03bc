// Opens shared objects through Go's plugin package, and says what its errors mean.

//go:build cgo && (linux || darwin || freebsd)

package so

import (
	"fmt"
	"plugin"
	"strings"

	"hotwatch.invalid/hotplug"
)

func open(path string) (*hotplug.Plugin, error) {
	opened, err := plugin.Open(path)
	if err != nil {
		return nil, explain(err)
	}
	symbol, err := opened.Lookup(hotplug.Symbol)
	if err != nil {
		return nil, fmt.Errorf("%w: it has no `%s`: build it by `hotwatch plugin build`", hotplug.ErrNoFunction, hotplug.Symbol)
	}
	found, is := symbol.(*hotplug.Plugin)
	if !is {
		return nil, fmt.Errorf("%w: its `%s` is `%T`: build it by `hotwatch plugin build`", hotplug.ErrSignature, hotplug.Symbol, symbol)
	}
	return found, nil
}

func explain(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "different version of package"):
		return fmt.Errorf("%w: build host and plugin with the same Go, flags (-race, -trimpath) and versions of modules", err)
	case strings.Contains(text, "already loaded"):
		return fmt.Errorf("%w: each version needs a package path of its own: build it by `hotwatch plugin build`", err)
	}
	return err
}
