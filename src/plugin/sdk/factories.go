// Factories: what a bundle of several packages exports, found by ID.

package hotplug

import (
	"fmt"
	"sort"
)

// Factories are constructors by ID. A plugin whose Export returns them offers them to the host; the generated code of a
// bundle does so with the constructor of each of its packages.
type Factories map[string]any

// FactoryOf finds a factory in whichever plugin has it, in its newest version. What the factory makes belongs to that
// version: the handle keeps it alive, and is released when nothing of it is used any more.
func FactoryOf[T any](m *Manager, id string) (T, *Handle, error) {
	var none T
	handle, factory, err := m.factory(id)
	if err != nil {
		return none, nil, err
	}
	is, fits := factory.(T)
	if !fits {
		handle.Release()
		cause := fmt.Errorf("%w: factory `%s` is `%T`, not `%T`", ErrSignature, id, factory, none)
		return none, nil, &Error{Plugin: handle.version.Name, Step: "Export", Cause: cause}
	}
	return is, handle, nil
}

func (m *Manager) factory(id string) (*Handle, any, error) {
	for {
		snapshot := m.active.Load()
		plugin, there := snapshot.factories[key(id)]
		if !there {
			return nil, nil, noFactory(id)
		}
		version := snapshot.versions[plugin]
		if !version.acquire() {
			continue
		}
		exported, _ := version.code.exported()
		all, _ := exported.(Factories)
		for name, factory := range all {
			if key(name) == key(id) {
				return &Handle{version: version}, factory, nil
			}
		}
		// The plugin has changed what it exported.
		version.release()
		return nil, nil, noFactory(id)
	}
}

func noFactory(id string) error {
	return fmt.Errorf("%w: there is no factory `%s`: is its plugin loaded?", ErrNoValue, id)
}

// factories are the IDs of those that a version exports; constructors cannot come from another process.
func (v *version) factories() []string {
	if v.form == Process {
		return nil
	}
	exported, _ := v.code.exported()
	all, _ := exported.(Factories)
	var ids []string
	for id := range all {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}
