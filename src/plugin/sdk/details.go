// What a reload reports, and the list of everything that is loaded.

package hotplug

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"time"
)

// Details say what a load, reload or unload did.
type Details struct {
	// Plugins are all that there are, or were before, by name.
	Plugins []Detail `json:"plugins"`
	// Milliseconds is how long it took.
	Milliseconds int64 `json:"ms"`
}

// Detail says what became of one plugin.
type Detail struct {
	// Name is the plugin's.
	Name string `json:"name"`
	// Outcome is what was done.
	Outcome Outcome `json:"outcome"`
	// Version is the active one, empty if it was unloaded.
	Version string `json:"version,omitempty"`
	// Previous is the one before, where that is another.
	Previous string `json:"previous,omitempty"`
}

// Of returns what became of a plugin; empty if it is not there.
func (d Details) Of(plugin string) Outcome {
	for _, detail := range d.Plugins {
		if key(detail.Name) == key(plugin) {
			return detail.Outcome
		}
	}
	return ""
}

// String is one line for a log.
func (d Details) String() string {
	var parts []string
	for _, detail := range d.Plugins {
		parts = append(parts, fmt.Sprintf("%s: %s", detail.Name, detail.Outcome))
	}
	return fmt.Sprintf("%s (%d ms)", strings.Join(parts, ", "), d.Milliseconds)
}

func describe(outcomes map[string]Outcome, old, fresh *Snapshot, begun time.Time) Details {
	details := Details{Plugins: []Detail{}, Milliseconds: time.Since(begun).Milliseconds()}
	for name, outcome := range outcomes {
		detail := Detail{Name: name, Outcome: outcome}
		before, now := old.versions[name], fresh.versions[name]
		if before != nil {
			detail.Name = before.Name
		}
		if before != nil && before != now {
			detail.Previous = before.Version()
		}
		if now != nil {
			detail.Name, detail.Version = now.Name, now.Version()
		}
		details.Plugins = append(details.Plugins, detail)
	}
	sort.Slice(details.Plugins, func(i, j int) bool { return details.Plugins[i].Name < details.Plugins[j].Name })
	return details
}

// Manifest is everything that is loaded.
type Manifest struct {
	// PID is the host's process.
	PID int `json:"pid"`
	// SDK is [SDKVersion].
	SDK int `json:"sdk"`
	// Started is when the manager was made.
	Started time.Time `json:"started"`
	// Plugins are the active ones, dependencies first, and then the versions that are still used.
	Plugins []ManifestEntry `json:"plugins"`
}

// ManifestEntry is one loaded version.
type ManifestEntry struct {
	// Name is the plugin's.
	Name string `json:"name"`
	// Version is what the version is called by.
	Version string `json:"version"`
	// Hash is that of what it was built from.
	Hash string `json:"hash"`
	// Generation is which build of the plugin it is.
	Generation uint64 `json:"generation"`
	// Form is where its code is.
	Form Form `json:"form"`
	// Path is the file that it came from; empty for linked plugins.
	Path string `json:"path,omitempty"`
	// Loaded is when.
	Loaded time.Time `json:"loaded"`
	// Active is false for a version that was replaced and is still used.
	Active bool `json:"active"`
	// Users is how many use it, the manager included.
	Users int64 `json:"users"`
	// Imports are the plugins that it imports.
	Imports []string `json:"imports,omitempty"`
	// Live are its live names.
	Live []string `json:"live,omitempty"`
	// Factories are the IDs of those that it exports.
	Factories []string `json:"factories,omitempty"`
	// PID is the process that it runs in, where that is its own.
	PID int `json:"pid,omitempty"`
	// Restarts is how often that was started again after a crash.
	Restarts int `json:"restarts,omitempty"`
}

// Manifest lists everything that is loaded.
func (m *Manager) Manifest() Manifest {
	manifest := Manifest{PID: os.Getpid(), SDK: SDKVersion, Started: m.started, Plugins: []ManifestEntry{}}
	active := m.active.Load()
	listed := map[*version]bool{}
	add := func(version *version, active bool) {
		entry := ManifestEntry{
			Name: version.Name, Version: version.Version(), Hash: version.Hash, Generation: version.Generation,
			Form: version.form, Path: version.path, Loaded: version.loaded, Active: active,
			Users: version.users.Load(), Live: version.code.live(), Factories: version.factories(),
		}
		for _, need := range version.needs {
			entry.Imports = append(entry.Imports, need.Plugin)
		}
		entry.PID, entry.Restarts = version.code.state()
		manifest.Plugins = append(manifest.Plugins, entry)
		listed[version] = true
	}
	for _, name := range active.order {
		add(active.versions[name], true)
	}
	living, _ := m.alive()
	for _, version := range living {
		// Those of a reload under way may never be.
		if !listed[version] && version.desk.pending() == nil {
			add(version, false)
		}
	}
	return manifest
}
