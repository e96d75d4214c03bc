// Decisions of a reload, without effects: which plugins are loaded, which stay, in which order, and what forbids it.

package hotplug

import (
	"fmt"
	"sort"
	"strings"
)

// An Outcome is what a reload did with one plugin.
type Outcome string

// The outcomes of a plugin in [Details].
const (
	// Loaded: there was no version of it before.
	Loaded Outcome = "loaded"
	// Reloaded: it has another version now.
	Reloaded Outcome = "reloaded"
	// Unchanged: it is built from what the active version is built from, which stays.
	Unchanged Outcome = "unchanged"
	// NotReloadable: there is something new, and the active version does not want to be replaced; it stays.
	NotReloadable Outcome = "not reloadable"
	// Unloaded: it is gone.
	Unloaded Outcome = "unloaded"
)

// standing is an active version, to a decision.
type standing struct {
	name       string
	hash       string
	generation uint64
	// The hash of the file that it came from, where there is one.
	file string
}

// offered is a version that could be loaded.
type offered struct {
	name string
	// Empty and 0 where only the code itself knows it.
	hash       string
	generation uint64
	file       string
	path       string
}

// same tells whether loading what is offered would bring nothing new. A file's own hash counts where nobody says what
// it was built from: two builds of one source differ in it.
func (o offered) same(active standing) bool {
	if o.hash != "" {
		// One that was built again although nothing has changed is wanted for some reason.
		return o.hash == active.hash && (o.generation == 0 || o.generation == active.generation)
	}
	return o.file != "" && o.file == active.file
}

// sortOut finds what happens to each plugin, before any is asked whether it may be replaced: Reloaded and Unloaded of
// those that refuse become NotReloadable later.
func sortOut(active []standing, offers []offered) (map[string]Outcome, error) {
	outcomes := map[string]Outcome{}
	by := map[string]standing{}
	for _, version := range active {
		by[key(version.name)] = version
		outcomes[key(version.name)] = Unloaded
	}
	seen := map[string]offered{}
	for _, offer := range offers {
		name := key(offer.name)
		if other, twice := seen[name]; twice {
			cause := fmt.Errorf("%w: `%s` and `%s` both are it: remove one of them", ErrDuplicate, place(other), place(offer))
			return nil, &Error{Plugin: offer.name, Step: "open", Cause: cause}
		}
		seen[name] = offer
		version, there := by[name]
		switch {
		case !there:
			outcomes[name] = Loaded
		case offer.same(version):
			outcomes[name] = Unchanged
		default:
			outcomes[name] = Reloaded
		}
	}
	return outcomes, nil
}

func place(offer offered) string {
	if offer.path == "" {
		return "a linked plugin"
	}
	return offer.path
}

// need is one import.
type need struct {
	// Plugin is who is imported.
	Plugin string
	// Type is what the field that takes the export has as its type; empty where nothing is taken.
	Type string
	// Caller is whether the field takes a [Caller].
	Caller bool
}

// holds tells whether the import ties the importer to one version of the other.
func (n need) holds() bool { return n.Type != "" && !n.Caller }

// order sorts plugins so that each comes after those that it imports; among equals by name. Names are keys.
func order(needs map[string][]need) ([]string, error) {
	names := make([]string, 0, len(needs))
	for name := range needs {
		names = append(names, name)
	}
	sort.Strings(names)
	const under, done = 1, 2
	state := map[string]int{}
	var sorted, path []string
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case done:
			return nil
		case under:
			from := 0
			for path[from] != name {
				from++
			}
			cycle := strings.Join(append(append([]string(nil), path[from:]...), name), " -> ")
			return &Error{Plugin: name, Step: "Import", Cause: fmt.Errorf("%w: %s: take one of these imports out", ErrCycle, cycle)}
		}
		state[name] = under
		path = append(path, name)
		imports := append([]need(nil), needs[name]...)
		sort.Slice(imports, func(i, j int) bool { return imports[i].Plugin < imports[j].Plugin })
		for _, it := range imports {
			if _, there := needs[key(it.Plugin)]; !there {
				cause := fmt.Errorf("%w: it imports `%s`, which is not there: build that too, or take the import out", ErrNoPlugin, it.Plugin)
				return &Error{Plugin: name, Step: "Import", Cause: cause}
			}
			if err := visit(key(it.Plugin)); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		state[name] = done
		sorted = append(sorted, name)
		return nil
	}
	for _, name := range names {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}

// stale finds a plugin that keeps its version while one whose export it holds does not.
func stale(needs map[string][]need, outcomes map[string]Outcome) error {
	names := make([]string, 0, len(needs))
	for name := range needs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if outcomes[name] != Unchanged && outcomes[name] != NotReloadable {
			continue
		}
		for _, it := range needs[name] {
			if !it.holds() || outcomes[key(it.Plugin)] != Reloaded {
				continue
			}
			what := fmt.Errorf("%w: `%s` was rebuilt while `%s`, which uses it, was not: build `%s` too, with `--force` if nothing in it has changed", ErrStale, it.Plugin, name, name)
			if outcomes[name] == NotReloadable {
				what = fmt.Errorf("%w: `%s` was rebuilt while `%s`, which uses it, is not reloadable: import it as a `hotplug.Caller`, or restart the host",
					ErrStale, it.Plugin, name)
			}
			return &Error{Plugin: name, Step: "Import", Cause: what}
		}
	}
	return nil
}

// owners finds who has each name (as a key). Two plugins with one name are an error; so are two names of one plugin that
// differ in case only. `what` and `step` say what kind of names they are, and when they were found.
func owners(names map[string][]string, what, step string) (map[string]string, error) {
	plugins := make([]string, 0, len(names))
	for plugin := range names {
		plugins = append(plugins, plugin)
	}
	sort.Strings(plugins)
	found := map[string]string{}
	for _, plugin := range plugins {
		sorted := append([]string(nil), names[plugin]...)
		sort.Strings(sorted)
		for _, name := range sorted {
			if other, twice := found[key(name)]; twice {
				cause := fmt.Errorf("%w: `%s` is %s in `%s` and in `%s`: rename one of them", ErrDuplicate, name, what, other, plugin)
				return nil, &Error{Plugin: plugin, Step: step, Cause: cause}
			}
			found[key(name)] = plugin
		}
	}
	return found, nil
}
