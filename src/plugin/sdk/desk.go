// The manager's answers to one version's vault, or to the host's own. Everything is looked up when it is asked for.

package hotplug

import (
	"context"
	"fmt"
	"reflect"
)

type desk struct {
	manager *Manager
	// Whose vault it is; nil for the host's.
	version *version
	// The snapshot that the version came with: until that is active, its plugins are the newest.
	born *Snapshot
}

func (d *desk) current() *Snapshot {
	active := d.manager.active.Load()
	if d.born != nil && d.born.epoch > active.epoch && !d.born.abandoned.Load() {
		return d.born
	}
	return active
}

// pending is the snapshot that the version came with while that is not active.
func (d *desk) pending() *Snapshot {
	if d.born != nil && d.born.epoch > d.manager.active.Load().epoch && !d.born.abandoned.Load() {
		return d.born
	}
	return nil
}

func (d *desk) extension(name string) (any, error) {
	value, there := d.manager.options.extensions[name]
	if !there {
		return nil, fmt.Errorf("%w: the host has no extension `%s`: give it one by `hotplug.WithExtension`", ErrNoValue, name)
	}
	return value, nil
}

func (d *desk) callExtension(ctx context.Context, name string, params []any) (result any, err error) {
	function, err := d.extension(name)
	if err != nil {
		return nil, err
	}
	err = guard("", "extension "+name, func() (err error) {
		result, err = call(name, function, params)
		return err
	})
	return result, err
}

// owner acquires the version that has a live name.
func (d *desk) owner(name string) (*version, error) {
	for {
		snapshot := d.current()
		plugin, there := snapshot.live[key(name)]
		if !there {
			return nil, fmt.Errorf("%w: nothing live is called `%s`: is its plugin loaded?", ErrNoValue, name)
		}
		if version := snapshot.versions[plugin]; version.acquire() {
			return version, nil
		}
	}
}

func (d *desk) callLive(ctx context.Context, name string, params []any) (any, error) {
	version, err := d.owner(name)
	if err != nil {
		return nil, err
	}
	return version.callLive(ctx, name, params)
}

func (d *desk) newLive(name string) (any, error) {
	version, err := d.owner(name)
	if err != nil {
		return nil, err
	}
	defer version.release()
	return version.code.newLive(name)
}

func (d *desk) liveData(name string) (Data, error) {
	version, err := d.owner(name)
	if err != nil {
		return Data{}, err
	}
	defer version.release()
	return version.code.liveData(name)
}

func (d *desk) callPlugin(ctx context.Context, plugin, name string, params []any) (any, error) {
	version := acquire(d.current, plugin)
	if version == nil {
		return nil, absent(plugin, name)
	}
	return version.invoke(ctx, name, params)
}

func (d *desk) bagGet(name string) (item, error) { return d.manager.bag.get(name) }

func (d *desk) bagPut(name string, put item, expected int64) (bool, error) {
	put.during = d.pending()
	if d.version != nil && put.value != nil && !inert(reflect.TypeOf(put.value)) {
		put.holder = d.version
	}
	return d.manager.bag.put(name, put, expected)
}

func (d *desk) bagDelete(name string) error {
	d.manager.bag.delete(name, d.pending())
	return nil
}

func (d *desk) bagKeys() ([]string, error) { return d.manager.bag.names(), nil }
