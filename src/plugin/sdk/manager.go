// The manager: what a host holds to call its plugins. Calls take the active snapshot from an atomic pointer, so that a
// reload never makes one wait or fail.

package hotplug

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Manager loads plugins, calls them and replaces them. It may be used by several goroutines.
type Manager struct {
	options options
	active  atomic.Pointer[Snapshot]
	bag     bag
	started time.Time

	// Held while the set of active plugins changes.
	changing sync.Mutex
	epoch    uint64
	loads    map[string]uint64
	data     any
	closed   bool
	stage    *stage
	dirs     []*directory
	admin    *admin
	watch    *watch

	// All versions that have not been freed.
	living struct {
		sync.Mutex
		versions map[*version]bool
		// Closed and replaced whenever one goes.
		changed chan struct{}
	}
}

// New makes a manager. Nothing is loaded before [Manager.Load]; the admin socket is opened at once.
func New(settings ...Option) (*Manager, error) {
	m := &Manager{options: defaults(), started: time.Now(), loads: map[string]uint64{}}
	for _, set := range settings {
		set(&m.options)
	}
	m.living.versions = map[*version]bool{}
	m.living.changed = make(chan struct{})
	m.active.Store(&Snapshot{manager: m})
	for _, path := range m.options.dirs {
		m.dirs = append(m.dirs, newDirectory(path))
	}
	if m.options.admin {
		opened, err := openAdmin(m, m.options.adminPath)
		if err != nil {
			return nil, err
		}
		m.admin = opened
	}
	return m, nil
}

// InvokeFunc calls a function of the newest version of a plugin. It never fails because of a reload: the version that
// it has begun with stays until it returns. If the result is a [*Stream], until that is closed.
func (m *Manager) InvokeFunc(plugin, name string, params ...any) (any, error) {
	return m.InvokeFuncContext(context.Background(), plugin, name, params...)
}

// InvokeFuncContext is InvokeFunc that waits no longer than the context says. A plugin in a process of its own is told
// that nobody waits any more; code in the host's process runs on. To see the context itself, a function takes one as its
// first parameter, and the caller passes it there as well.
func (m *Manager) InvokeFuncContext(ctx context.Context, plugin, name string, params ...any) (any, error) {
	version := acquire(m.active.Load, plugin)
	if version == nil {
		return nil, absent(plugin, name)
	}
	return version.invoke(ctx, name, params)
}

// Result is the answer of one plugin to [Manager.InvokeEach].
type Result struct {
	// Plugin is who has answered.
	Plugin string
	// Value is what it returned.
	Value any
	// Err is its error.
	Err error
}

// InvokeEach calls a function of every plugin, dependencies first, all from one snapshot. Plugins that answer with
// [ErrNoFunction] are left out.
func (m *Manager) InvokeEach(name string, params ...any) []Result {
	return m.each(acquireAll(m.active.Load), name, params)
}

// InvokeEachBackward is InvokeEach the other way round: a plugin before those that it imports.
func (m *Manager) InvokeEachBackward(name string, params ...any) []Result {
	versions := acquireAll(m.active.Load)
	for i, j := 0, len(versions)-1; i < j; i, j = i+1, j-1 {
		versions[i], versions[j] = versions[j], versions[i]
	}
	return m.each(versions, name, params)
}

func (m *Manager) each(versions []*version, name string, params []any) []Result {
	var results []Result
	for _, version := range versions {
		value, err := version.invoke(context.Background(), name, params)
		if !errors.Is(err, ErrNoFunction) {
			results = append(results, Result{Plugin: version.Name, Value: value, Err: err})
		}
	}
	return results
}

// Handle is one version of a plugin, kept alive until it is released. It is for hosts that keep something which the
// plugin has given them: a function, an interface, what it exports.
type Handle struct {
	version *version
	once    sync.Once
}

// Acquire returns a handle to the newest version of a plugin.
func (m *Manager) Acquire(plugin string) (*Handle, error) {
	version := acquire(m.active.Load, plugin)
	if version == nil {
		return nil, absent(plugin, "acquire")
	}
	return &Handle{version: version}, nil
}

// Metadata returns what is known about the version.
func (h *Handle) Metadata() Metadata { return h.version.Metadata }

// Export returns what the version exports.
func (h *Handle) Export() (any, error) { return h.version.code.exported() }

// InvokeFunc calls a function of this version.
func (h *Handle) InvokeFunc(name string, params ...any) (any, error) {
	if !h.version.acquire() {
		return nil, absent(h.version.Name, name)
	}
	return h.version.invoke(context.Background(), name, params)
}

// Release gives the version back. Further calls of it do nothing.
func (h *Handle) Release() { h.once.Do(h.version.release) }

// Vault returns the host's own access to what plugins share and to everything live.
func (m *Manager) Vault() *Vault { return &Vault{desk: &desk{manager: m}} }

// Close stops watching, closes the admin socket, makes all plugins inactive and waits until the last user of the last
// version is gone and everything is freed. When the context ends first, processes are killed, and the error says which
// plugins are still in use.
func (m *Manager) Close(ctx context.Context) error {
	m.changing.Lock()
	if m.closed {
		m.changing.Unlock()
		return ErrClosed
	}
	m.closed = true
	watch, admin := m.watch, m.admin
	m.replace(&Snapshot{manager: m, epoch: m.nextEpoch()})
	m.bag.clear()
	m.changing.Unlock()
	// They may be waiting for the lock.
	if watch != nil {
		watch.stop()
	}
	if admin != nil {
		admin.close()
	}
	defer func() {
		if m.stage != nil {
			m.stage.remove()
		}
	}()
	for {
		left, changed := m.alive()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			var names []string
			for _, version := range left {
				names = append(names, fmt.Sprintf("`%s` %s", version.Name, version.Version()))
				if version.form == Process {
					version.code.close()
				}
			}
			return fmt.Errorf("still in use: %s: release handles and close streams: %w", strings.Join(names, ", "), ctx.Err())
		}
	}
}

// replace makes a snapshot the active one and gives back the versions that are not in it.
func (m *Manager) replace(fresh *Snapshot) {
	old := m.active.Swap(fresh)
	for i := len(old.order) - 1; i >= 0; i-- {
		name := old.order[i]
		if version := old.versions[name]; fresh.versions[name] != version {
			version.release()
		}
	}
}

func (m *Manager) nextEpoch() uint64 {
	m.epoch++
	return m.epoch
}

// alive lists the versions that have not been freed, and a channel that is closed when one is.
func (m *Manager) alive() ([]*version, <-chan struct{}) {
	m.living.Lock()
	defer m.living.Unlock()
	var versions []*version
	for version := range m.living.versions {
		versions = append(versions, version)
	}
	sort.Slice(versions, func(i, j int) bool {
		if versions[i].Name != versions[j].Name {
			return versions[i].Name < versions[j].Name
		}
		return versions[i].loaded.Before(versions[j].loaded)
	})
	return versions, m.living.changed
}

func (m *Manager) born(v *version) {
	m.living.Lock()
	defer m.living.Unlock()
	m.living.versions[v] = true
}

func (m *Manager) gone(v *version) {
	m.tell(Event{What: "freed", Plugin: v.Name, Version: v.Version()})
	m.living.Lock()
	defer m.living.Unlock()
	delete(m.living.versions, v)
	close(m.living.changed)
	m.living.changed = make(chan struct{})
}

func (m *Manager) tell(event Event) { m.options.tell(event) }
