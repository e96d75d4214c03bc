// Shared objects that are in this process. Go loads each of them once and never unloads it: what was rolled back, or
// replaced, and is offered again, is used again as it is.

package hotplug

import (
	"fmt"
	"sync"
	"time"
)

var openShared func(path string) (*Plugin, error)

// RegisterOpener is how package so, which can open shared objects, makes itself known. Hosts import that package for its
// side effect, and do not call this.
func RegisterOpener(open func(path string) (*Plugin, error)) { openShared = open }

// object is one of them. Its package variables are there once, so that only one version at a time may be made of it.
type object struct {
	plugin *Plugin
	// Why it is no plugin: Go would not load it a second time to find that out.
	err   error
	taken chan struct{}
}

var objects struct {
	sync.Mutex
	bySum map[string]*object
}

// objectPatience is how long a reload waits for the version that was made of the same file before, which is being freed.
const objectPatience = 2 * time.Second

func openObject(path, sum string) (instance, error) {
	found, err := loadObject(path, sum)
	if err != nil {
		return nil, err
	}
	select {
	case found.taken <- struct{}{}:
	case <-time.After(objectPatience):
		return nil, fmt.Errorf("a version that was made of the same file is still in use: build it again, so that the two share nothing")
	}
	code, err := newLocal(*found.plugin)
	if err != nil {
		<-found.taken
		return nil, err
	}
	return &sharedCode{code, found}, nil
}

func loadObject(path, sum string) (*object, error) {
	objects.Lock()
	defer objects.Unlock()
	if found := objects.bySum[sum]; found != nil {
		return found, found.err
	}
	plugin, err := openShared(path)
	if objects.bySum == nil {
		objects.bySum = map[string]*object{}
	}
	found := &object{plugin: plugin, err: err, taken: make(chan struct{}, 1)}
	objects.bySum[sum] = found
	return found, err
}

// sharedCode gives its object back when the version is freed.
type sharedCode struct {
	*local
	object *object
}

func (s *sharedCode) close() { <-s.object.taken }
