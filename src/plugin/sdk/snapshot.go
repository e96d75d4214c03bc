// A set of versions that are active together. It never changes: a reload makes another one and exchanges them in one
// step, so that a caller sees all of the old or all of the new.

package hotplug

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Snapshot is a set of versions that are active together. A veto gets two of them; they are valid during that call.
type Snapshot struct {
	manager  *Manager
	epoch    uint64
	versions map[string]*version
	// Keys of the versions, dependencies first.
	order []string
	// Which plugin has which live name; both as keys.
	live map[string]string
	// Which plugin has which factory, likewise.
	factories map[string]string
	abandoned atomic.Bool
}

// Names returns the plugins, dependencies first.
func (s *Snapshot) Names() []string {
	names := make([]string, 0, len(s.order))
	for _, name := range s.order {
		names = append(names, s.versions[name].Name)
	}
	return names
}

// Metadata returns what is known about a plugin, and whether it is there.
func (s *Snapshot) Metadata(plugin string) (Metadata, bool) {
	if version := s.versions[key(plugin)]; version != nil {
		return version.Metadata, true
	}
	return Metadata{}, false
}

// InvokeFunc calls a function of this snapshot's version of a plugin.
func (s *Snapshot) InvokeFunc(plugin, name string, params ...any) (any, error) {
	version := s.versions[key(plugin)]
	if version == nil {
		return nil, absent(plugin, name)
	}
	if !version.acquire() {
		return nil, &Error{Plugin: plugin, Step: name, Cause: fmt.Errorf("%w: this version has been freed: call the manager", ErrNoPlugin)}
	}
	return version.invoke(context.Background(), name, params)
}

func absent(plugin, step string) error {
	return &Error{Plugin: plugin, Step: step, Cause: fmt.Errorf("%w: is it in the directory, and was it loaded?", ErrNoPlugin)}
}

// acquire makes the caller a user of a plugin's version; nil where the plugin is not there. `current` is asked again
// when the version went between the look and the grip, which means that there is a newer snapshot.
func acquire(current func() *Snapshot, plugin string) *version {
	for {
		version := current().versions[key(plugin)]
		if version == nil || version.acquire() {
			return version
		}
	}
}

// acquireAll makes the caller a user of every version of one snapshot, dependencies first.
func acquireAll(current func() *Snapshot) []*version {
again:
	for {
		snapshot := current()
		var held []*version
		for _, name := range snapshot.order {
			version := snapshot.versions[name]
			if !version.acquire() {
				for _, version := range held {
					version.release()
				}
				continue again
			}
			held = append(held, version)
		}
		return held
	}
}

func (s *Snapshot) needs() map[string][]need {
	needs := map[string][]need{}
	for name, version := range s.versions {
		needs[name] = version.needs
	}
	return needs
}

// arrange finds the order of the versions, and who has which live name and which factory.
func (s *Snapshot) arrange() (err error) {
	if s.order, err = order(s.needs()); err != nil {
		return err
	}
	live, factories := map[string][]string{}, map[string][]string{}
	for name, version := range s.versions {
		live[name] = version.code.live()
		factories[name] = version.factories()
	}
	if s.live, err = owners(live, "live", "vault"); err != nil {
		return err
	}
	s.factories, err = owners(factories, "a factory", "Export")
	return err
}
