// What of packages that several plugins share was loaded first: Go keeps that for as long as the process runs, whatever
// later plugins were built from.

package hotplug

import (
	"fmt"
	"sort"
	"sync"
)

var firstLoaded firsts

// firsts are hashes of sources by package.
type firsts struct {
	mutex  sync.Mutex
	hashes map[string]string
}

// admit takes note of the packages of a shared object that is about to be opened. It refuses one with a package that was
// loaded from other sources before: it would run with those.
func (f *firsts) admit(shared map[string]string) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	names := make([]string, 0, len(shared))
	for name := range shared {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if first, there := f.hashes[name]; there && first != shared[name] {
			return fmt.Errorf("%w: `%s` has changed since a plugin of this process was first loaded with it, and Go keeps the first: "+
				"move it below the plugin's directory, or restart the host", ErrStale, name)
		}
	}
	if f.hashes == nil {
		f.hashes = map[string]string{}
	}
	for _, name := range names {
		f.hashes[name] = shared[name]
	}
	return nil
}
