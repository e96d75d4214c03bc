// Load and reload: the steps of a change in their order, and the way back when one of them fails. What is decided on the
// way stands in plan.go.

package hotplug

import (
	"fmt"
	"reflect"
	"sort"
	"time"
)

// Load loads the plugins that are there, replaces those that have changed, and unloads those that have gone. OnLoad gets
// `data`. When a step fails, everything new is released, what was active stays active, and the error is an [*Error].
func (m *Manager) Load(data any) (Details, error) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.data = data
	return m.change()
}

// Reload is [Manager.Load] with the data of the last one.
func (m *Manager) Reload() (Details, error) {
	m.changing.Lock()
	defer m.changing.Unlock()
	return m.change()
}

// change brings the active plugins to what is there now.
func (m *Manager) change() (Details, error) {
	begun := time.Now()
	if m.closed {
		return Details{}, ErrClosed
	}
	r := &reload{manager: m, old: m.active.Load()}
	r.fresh = &Snapshot{manager: m, epoch: m.nextEpoch(), versions: map[string]*version{}}
	m.bag.begin()
	err := r.run()
	// Also after a failure, which the next file may mend.
	m.watchDirs()
	if err != nil {
		r.back()
		m.bag.end(false)
		m.tell(Event{What: "reload failed", Err: err})
		return Details{}, err
	}
	details := describe(r.outcomes, r.old, r.fresh, begun)
	m.replace(r.fresh)
	m.bag.end(true)
	m.tell(Event{What: "reloaded", Details: details})
	return details, nil
}

// reload is one change under way.
type reload struct {
	manager  *Manager
	old      *Snapshot
	fresh    *Snapshot
	offers   map[string]offer
	outcomes map[string]Outcome
	// The new versions, in the order in which they were opened.
	opened []*version
}

func (r *reload) run() error {
	for _, step := range []func() error{
		r.look, r.askReloadable, r.open, r.export, r.arrange, r.bind, r.onLoad, r.onInit, r.judge,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// back releases everything new.
func (r *reload) back() {
	r.fresh.abandoned.Store(true)
	for i := len(r.opened) - 1; i >= 0; i-- {
		r.opened[i].release()
	}
}

// look finds what there is, and what is to be done with it.
func (r *reload) look() error {
	offers, err := r.manager.offers()
	if err != nil {
		return err
	}
	r.offers = map[string]offer{}
	var plain []offered
	for _, offer := range offers {
		plain = append(plain, offer.offered)
		r.offers[key(offer.name)] = offer
	}
	var active []standing
	for _, name := range r.old.order {
		version := r.old.versions[name]
		active = append(active, standing{name: version.Name, hash: version.Hash, generation: version.Generation, file: version.file})
	}
	r.outcomes, err = sortOut(active, plain)
	return err
}

func (r *reload) askReloadable() error {
	for _, name := range r.old.order {
		version := r.old.versions[name]
		if outcome := r.outcomes[name]; outcome == Reloaded || outcome == Unloaded {
			may, err := version.code.reloadable()
			if err != nil {
				return err
			}
			if !may {
				r.outcomes[name] = NotReloadable
			}
		}
		if r.outcomes[name] == Unchanged || r.outcomes[name] == NotReloadable {
			r.fresh.versions[name] = version
		}
	}
	return nil
}

func (r *reload) open() error {
	var names []string
	for name, outcome := range r.outcomes {
		if outcome == Loaded || outcome == Reloaded {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		offer := r.offers[name]
		code, err := offer.open()
		if err != nil {
			return named(offer.name, "open", err)
		}
		meta := code.metadata()
		if key(meta.Name) != name {
			code.close()
			cause := fmt.Errorf("%w: `%s` is plugin `%s`: rename it", ErrSignature, place(offer.offered), meta.Name)
			return &Error{Plugin: offer.name, Step: "open", Cause: cause}
		}
		if offer.hash != "" {
			meta.Hash = offer.hash
		}
		if offer.generation != 0 {
			meta.Generation = offer.generation
		}
		if meta.Hash == "" {
			meta.Hash = offer.file
		}
		// Without a sidecar only the code itself knows what it was built from.
		if old := r.old.versions[name]; old != nil && offer.hash == "" && meta.Hash != "" && meta.Hash == old.Hash {
			code.close()
			old.file = offer.file
			r.outcomes[name] = Unchanged
			r.fresh.versions[name] = old
			continue
		}
		r.manager.loads[name]++
		if meta.Generation == 0 {
			meta.Generation = r.manager.loads[name]
		}
		code.identify(meta)
		fresh := &version{
			Metadata: meta, manager: r.manager, code: code, form: offer.form, path: offer.path, file: offer.file,
			loaded: time.Now(),
		}
		fresh.users.Store(1)
		fresh.desk = &desk{manager: r.manager, version: fresh, born: r.fresh}
		r.manager.born(fresh)
		r.opened = append(r.opened, fresh)
		r.fresh.versions[name] = fresh
	}
	return nil
}

func (r *reload) export() error {
	for _, version := range r.opened {
		if err := version.code.export(); err != nil {
			return err
		}
	}
	for _, version := range r.opened {
		needs, err := version.code.imports()
		if err != nil {
			return err
		}
		version.needs = needs
	}
	return nil
}

// arrange puts the new set in order and finds what forbids it.
func (r *reload) arrange() error {
	if err := r.fresh.arrange(); err != nil {
		return err
	}
	return stale(r.fresh.needs(), r.outcomes)
}

// eachNew runs a step of all new versions, dependencies first.
func (r *reload) eachNew(step func(*version) error) error {
	for _, name := range r.fresh.order {
		if outcome := r.outcomes[name]; outcome != Loaded && outcome != Reloaded {
			continue
		}
		if err := step(r.fresh.versions[name]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reload) bind() error {
	return r.eachNew(func(version *version) error {
		exports := map[string]any{}
		for _, need := range version.needs {
			other := r.fresh.versions[key(need.Plugin)]
			if !need.holds() {
				continue
			}
			export, err := other.code.exported()
			if err != nil {
				return err
			}
			exports[key(need.Plugin)] = export
			if export != nil && !inert(reflect.TypeOf(export)) && other.acquire() {
				version.uses = append(version.uses, other)
			}
		}
		return version.code.bind(exports, version.desk)
	})
}

func (r *reload) onLoad() error {
	return r.eachNew(func(version *version) error {
		if err := version.code.onLoad(r.manager.data); err != nil {
			return err
		}
		version.begun = true
		return nil
	})
}

// onInit hands out the vault, which is ready now: its live names are those of the new set.
func (r *reload) onInit() error {
	return r.eachNew(func(version *version) error { return version.code.onInit(version.desk) })
}

func (r *reload) judge() error {
	for _, veto := range r.manager.options.vetoes {
		err := guard("", "veto", func() error {
			if err := veto(r.fresh, r.old); err != nil {
				return fmt.Errorf("%w: %w", ErrVeto, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
