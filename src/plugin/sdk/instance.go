// What the three forms of a plugin have in common: one version's code, wherever it runs.

package hotplug

import "context"

// A Form is how a plugin's code comes into the host.
type Form string

// The three forms of a plugin.
const (
	// Linked plugins are part of the host's own binary.
	Linked Form = "linked"
	// SharedObject plugins are loaded into the host's process, and stay in its memory.
	SharedObject Form = "shared object"
	// Process plugins run in a process of their own.
	Process Form = "process"
)

// instance is the code of one version. Its methods return errors as *Error; a panic of the plugin is one too.
type instance interface {
	metadata() Metadata
	// identify tells the code as what it is loaded.
	identify(Metadata)
	// live lists the live names of the version.
	live() []string
	reloadable() (bool, error)
	// export runs Export and keeps what it returns.
	export() error
	// exported is what export has kept, as others may import it.
	exported() (any, error)
	// imports runs Import and returns what it asks for.
	imports() ([]need, error)
	// bind fills in what imports has asked for.
	bind(exports map[string]any, desk keeper) error
	onLoad(data any) error
	onInit(desk keeper) error
	onFree() error
	invoke(ctx context.Context, name string, params []any) (any, error)
	callLive(ctx context.Context, name string, params []any) (any, error)
	newLive(name string) (any, error)
	liveData(name string) (Data, error)
	// state tells which process it is in (0: the host's), and how often that was started again.
	state() (pid, restarts int)
	// close ends what the version takes; no method is called any more.
	close()
}
