// A version whose code is in this process: linked plugins and shared objects in the host, and the plugin itself in a
// process of its own.

package hotplug

import (
	"context"
	"fmt"
	"sort"
)

type local struct {
	plugin    Plugin
	export1   any
	import1   any
	liveNames map[string]string
}

func newLocal(plugin Plugin) (*local, error) {
	if err := plugin.check(); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, name := range plugin.liveNames() {
		names[key(name)] = name
	}
	return &local{plugin: plugin, liveNames: names}, nil
}

func (l *local) metadata() Metadata { return l.plugin.Metadata }

func (l *local) identify(meta Metadata) { l.plugin.Metadata = meta }

func (l *local) live() []string {
	var names []string
	for _, name := range l.liveNames {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (l *local) reloadable() (is bool, err error) {
	err = guard(l.plugin.Name, "Reloadable", func() error { is = l.plugin.Reloadable(); return nil })
	return is, err
}

func (l *local) export() error {
	return guard(l.plugin.Name, "Export", func() error { l.export1 = l.plugin.Export(); return nil })
}

func (l *local) exported() (any, error) { return l.export1, nil }

func (l *local) imports() (needs []need, err error) {
	err = guard(l.plugin.Name, "Import", func() (err error) {
		l.import1 = l.plugin.Import()
		needs, err = asked(l.import1)
		return err
	})
	return needs, err
}

func (l *local) bind(exports map[string]any, desk keeper) error {
	return guard(l.plugin.Name, "Import", func() error { return fill(l.import1, exports, desk) })
}

func (l *local) onLoad(data any) error {
	return guard(l.plugin.Name, "OnLoad", func() error { return l.plugin.OnLoad(data) })
}

func (l *local) onInit(desk keeper) error {
	return guard(l.plugin.Name, "OnInit", func() error { return l.plugin.OnInit(&Vault{desk: desk}) })
}

func (l *local) onFree() error {
	return guard(l.plugin.Name, "OnFree", func() error { l.plugin.OnFree(); return nil })
}

func (l *local) invoke(ctx context.Context, name string, params []any) (result any, err error) {
	err = guard(l.plugin.Name, name, func() (err error) {
		result, err = l.plugin.Functions.InvokeFunc(name, params...)
		return err
	})
	return result, err
}

func (l *local) callLive(ctx context.Context, name string, params []any) (result any, err error) {
	err = guard(l.plugin.Name, name, func() (err error) {
		function, there := l.plugin.LiveFuncs[l.liveNames[key(name)]]
		if !there {
			return fmt.Errorf("%w: `%s` is no live function", ErrNoFunction, name)
		}
		result, err = call(name, function, params)
		return err
	})
	return result, err
}

func (l *local) newLive(name string) (any, error) {
	zero, there := l.plugin.LiveTypes[l.liveNames[key(name)]]
	if !there {
		return nil, &Error{Plugin: l.plugin.Name, Step: name, Cause: fmt.Errorf("%w: it is no live type", ErrNoValue)}
	}
	return fresh(zero), nil
}

func (l *local) liveData(name string) (data Data, err error) {
	err = guard(l.plugin.Name, name, func() (err error) {
		pointer, there := l.plugin.LiveData[l.liveNames[key(name)]]
		if !there {
			return fmt.Errorf("%w: it is no live variable", ErrNoValue)
		}
		data, err = pack(pointer, name)
		return err
	})
	return data, err
}

func (l *local) state() (int, int) { return 0, 0 }

func (l *local) close() {}
