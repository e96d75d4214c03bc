// What a plugin is to the rest of the package: its functions, what is known about it, and what of it is live. A
// generated file fills these in, one for each of the three forms; nobody writes them by hand except in tests.

package hotplug

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// SDKVersion is the version of the contract between generated code and this package. A plugin that was generated for
// another one is refused.
const SDKVersion = 1

// Symbol is the name of the one variable, of type [Plugin], that a plugin in a shared object exports.
const Symbol = "Hotplug"

// Functions are the seven functions that every plugin has at package level, under these names.
type Functions struct {
	// OnLoad is called once all plugins of a reload are there, dependencies first. It gets what the host gave to
	// [Manager.Load] or [Manager.Reload].
	OnLoad func(data any) error
	// OnInit is called once OnLoad of all plugins has succeeded; the vault is ready.
	OnInit func(vault *Vault) error
	// OnFree is called when nobody uses the version any more, if its OnLoad had succeeded.
	OnFree func()
	// Export returns what other plugins may import, or nil.
	Export func() any
	// Import returns what the plugin needs of others: nil, their names as a []string, or a pointer to a struct whose
	// fields are filled in before OnLoad; see the package's documentation.
	Import func() any
	// InvokeFunc calls a function of the plugin by name. [Table] is an implementation.
	InvokeFunc func(name string, params ...any) (any, error)
	// Reloadable tells whether the version may be replaced. The active version is asked.
	Reloadable func() bool
}

// Metadata is what identifies one version of a plugin.
type Metadata struct {
	// Name is what the plugin is called by. Names that differ only in case are the same.
	Name string `json:"name"`
	// Hash is a hash of what the version was built from. A plugin whose hash is that of its active version is not
	// loaded again.
	Hash string `json:"hash"`
	// Generation counts the builds of the plugin: with the contents A, B and A again there are three versions.
	Generation uint64 `json:"generation"`
	// SDK is [SDKVersion] at the time of generation.
	SDK int `json:"sdk"`
}

// Version names the version: the beginning of the hash, and the generation.
func (m Metadata) Version() string {
	hash := m.Hash
	if len(hash) > 12 {
		hash = hash[:12]
	}
	return hash + "-" + strconv.FormatUint(m.Generation, 10)
}

// Plugin is one version of a plugin, as generated code describes it.
type Plugin struct {
	Metadata
	Functions
	// LiveFuncs are the functions whose names begin with the live prefix.
	LiveFuncs map[string]any
	// LiveTypes are the types whose names begin with it, each as its zero value.
	LiveTypes map[string]any
	// LiveData are the package variables whose names begin with it, each as a pointer. They are not written to after
	// OnInit.
	LiveData map[string]any
}

// key is what names are compared by.
func key(name string) string { return strings.ToLower(name) }

// check says what is wrong with generated code, before any of it runs.
func (p *Plugin) check() error {
	if p.Name == "" {
		return &Error{Step: "open", Cause: fmt.Errorf("%w: it has no name: generate it again", ErrSignature)}
	}
	if p.SDK != SDKVersion {
		cause := fmt.Errorf("it was generated for version %d of the SDK, and this host has %d: build it again", p.SDK, SDKVersion)
		return &Error{Plugin: p.Name, Step: "open", Cause: cause}
	}
	var missing []string
	for name, there := range map[string]bool{
		"OnLoad": p.OnLoad != nil, "OnInit": p.OnInit != nil, "OnFree": p.OnFree != nil, "Export": p.Export != nil,
		"Import": p.Import != nil, "InvokeFunc": p.Functions.InvokeFunc != nil, "Reloadable": p.Reloadable != nil,
	} {
		if !there {
			missing = append(missing, "`"+name+"`")
		}
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		cause := fmt.Errorf("%w: it lacks %s: add what is missing", ErrNoFunction, strings.Join(missing, ", "))
		return &Error{Plugin: p.Name, Step: "open", Cause: cause}
	}
	return p.checkLive()
}

var registered struct {
	sync.Mutex
	plugins []Plugin
}

// Register adds a statically linked plugin. Generated code calls it from an init function; the host passes
// [Registered] to [WithPlugins].
func Register(plugin Plugin) {
	registered.Lock()
	defer registered.Unlock()
	registered.plugins = append(registered.plugins, plugin)
}

// Registered returns all statically linked plugins.
func Registered() []Plugin {
	registered.Lock()
	defer registered.Unlock()
	return append([]Plugin(nil), registered.plugins...)
}
