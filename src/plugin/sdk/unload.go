// Unload: plugins leave, and nothing else changes.

package hotplug

import (
	"fmt"
	"time"
)

// Unload makes plugins inactive, whether or not they are reloadable, unless others import them. While they are still
// offered, the next load brings them back.
func (m *Manager) Unload(plugins ...string) (Details, error) {
	m.changing.Lock()
	defer m.changing.Unlock()
	begun := time.Now()
	if m.closed {
		return Details{}, ErrClosed
	}
	active := m.active.Load()
	fresh := &Snapshot{manager: m, epoch: m.nextEpoch(), versions: map[string]*version{}}
	leaves := map[string]bool{}
	for _, name := range plugins {
		if active.versions[key(name)] == nil {
			return Details{}, absent(name, "unload")
		}
		leaves[key(name)] = true
	}
	outcomes := map[string]Outcome{}
	for name, version := range active.versions {
		if leaves[name] {
			outcomes[name] = Unloaded
			continue
		}
		outcomes[name] = Unchanged
		fresh.versions[name] = version
		for _, need := range version.needs {
			if leaves[key(need.Plugin)] {
				cause := fmt.Errorf("`%s` imports it: unload `%s` first", version.Name, version.Name)
				return Details{}, &Error{Plugin: need.Plugin, Step: "unload", Cause: cause}
			}
		}
	}
	if err := fresh.arrange(); err != nil {
		return Details{}, err
	}
	details := describe(outcomes, active, fresh, begun)
	m.replace(fresh)
	m.tell(Event{What: "reloaded", Details: details})
	return details, nil
}
