// Everything that can be loaded: linked plugins, and files in directories.

package hotplug

import "fmt"

// offer is a version that can be loaded, and how.
type offer struct {
	offered
	form Form
	// Of packages that are not its own.
	shared map[string]string
	open   func() (instance, error)
}

// offers lists everything that can be loaded.
func (m *Manager) offers() ([]offer, error) {
	var all []offer
	for _, list := range m.options.plugins {
		for _, plugin := range list() {
			plugin := plugin
			all = append(all, offer{
				offered: offered{name: plugin.Name, hash: plugin.Hash},
				form:    Linked,
				open:    func() (instance, error) { return newLocal(plugin) },
			})
		}
	}
	// All are looked at, also behind one that fails: what was seen in them has been acted upon.
	var failed error
	for _, dir := range m.dirs {
		found, err := dir.offers(m)
		if err != nil && failed == nil {
			failed = err
		}
		all = append(all, found...)
	}
	if failed != nil {
		return nil, failed
	}
	if m.options.only == nil {
		return all, nil
	}
	var picked []offer
	missing := map[string]bool{}
	for name := range m.options.only {
		missing[name] = true
	}
	for _, offer := range all {
		if m.options.only[key(offer.name)] {
			picked = append(picked, offer)
			delete(missing, key(offer.name))
		}
	}
	for name := range missing {
		return nil, &Error{Plugin: name, Step: "open", Cause: fmt.Errorf("%w: it was asked for by `WithOnly`: build it", ErrNoPlugin)}
	}
	return picked, nil
}
