// The calls that a host and a plugin's process make of each other: what they are called, and what serves them. The
// plugin's side of the vault stands here too.

package hotplug

import (
	"context"
	"fmt"
)

// What a host calls in a plugin's process.
const (
	doHello      = "hello"
	doReloadable = "reloadable"
	doExport     = "export"
	doExported   = "exported"
	doImports    = "imports"
	doBind       = "bind"
	doLoad       = "load"
	doInit       = "init"
	doFree       = "free"
	doInvoke     = "invoke"
	doLive       = "live"
	doLiveData   = "live data"
)

// What a plugin's process calls in the host.
const (
	askExtension     = "extension"
	askCallExtension = "call extension"
	askCallLive      = "call live"
	askNewLive       = "new live"
	askLiveData      = "live data"
	askCallPlugin    = "call plugin"
	askBagGet        = "bag get"
	askBagPut        = "bag put"
	askBagDelete     = "bag delete"
	askBagKeys       = "bag keys"
)

// hello is how a plugin's process presents itself.
type hello struct {
	Metadata
	Live []string
}

// wireItem is an item of the data bag on its way.
type wireItem struct {
	Value    any
	Is       string
	Revision int64
}

// param is the parameter of a call at a place, as what it must be.
func param[T any](r request, at int) (T, error) {
	var none T
	if at >= len(r.params) {
		return none, fmt.Errorf("%w: `%s` lacks parameter %d", ErrSignature, r.method, at+1)
	}
	is, fits := r.params[at].(T)
	if !fits && r.params[at] != nil {
		return none, fmt.Errorf("%w: parameter %d of `%s` is `%T`", ErrSignature, at+1, r.method, r.params[at])
	}
	return is, nil
}

// servePlugin answers the host.
func servePlugin(ctx context.Context, code *local, desk keeper, r request) (any, error) {
	switch r.method {
	case doHello:
		return hello{Metadata: code.metadata(), Live: code.live()}, nil
	case doReloadable:
		return code.reloadable()
	case doExport:
		return nil, code.export()
	case doExported:
		return code.exported()
	case doImports:
		return code.imports()
	case doBind:
		exports, err := param[map[string]any](r, 0)
		if err != nil {
			return nil, err
		}
		return nil, code.bind(exports, desk)
	case doLoad:
		data, err := param[any](r, 0)
		if err != nil {
			return nil, err
		}
		return nil, code.onLoad(data)
	case doInit:
		return nil, code.onInit(desk)
	case doFree:
		return nil, code.onFree()
	case doInvoke:
		return code.invoke(ctx, r.name, r.params)
	case doLive:
		return code.callLive(ctx, r.name, r.params)
	case doLiveData:
		return code.liveData(r.name)
	}
	return nil, fmt.Errorf("%w: the host asks for `%s`: build the plugin again", ErrUnsupported, r.method)
}

// serveHost answers a plugin's process.
func serveHost(ctx context.Context, desk keeper, r request) (any, error) {
	switch r.method {
	case askExtension:
		return desk.extension(r.name)
	case askCallExtension:
		return desk.callExtension(ctx, r.name, r.params)
	case askCallLive:
		return desk.callLive(ctx, r.name, r.params)
	case askNewLive:
		return desk.newLive(r.name)
	case askLiveData:
		return desk.liveData(r.name)
	case askCallPlugin:
		// A context that the function takes stands before the plugin's name.
		at := 0
		if len(r.params) > 0 {
			if _, is := r.params[0].(context.Context); is {
				at = 1
			}
		}
		plugin, err := param[string](r, at)
		if err != nil {
			return nil, err
		}
		return desk.callPlugin(ctx, plugin, r.name, append(r.params[:at:at], r.params[at+1:]...))
	case askBagGet:
		found, err := desk.bagGet(r.name)
		if err != nil {
			return nil, err
		}
		return wireItem{Value: found.value, Is: found.is, Revision: found.revision}, nil
	case askBagPut:
		put, err := param[wireItem](r, 0)
		if err != nil {
			return nil, err
		}
		return desk.bagPut(r.name, item{value: put.Value, is: put.Is}, put.Revision)
	case askBagDelete:
		return nil, desk.bagDelete(r.name)
	case askBagKeys:
		return desk.bagKeys()
	}
	return nil, fmt.Errorf("%w: the plugin asks for `%s`: build the host again", ErrUnsupported, r.method)
}

// remote is the vault's keeper in a plugin's process.
type remote struct{ peer *peer }

func (r remote) ask(method, name string, params ...any) (any, error) {
	return r.peer.call(context.Background(), method, name, params...)
}

func (r remote) extension(name string) (any, error) { return r.ask(askExtension, name) }

func (r remote) callExtension(ctx context.Context, name string, params []any) (any, error) {
	return r.peer.call(ctx, askCallExtension, name, params...)
}

func (r remote) callLive(ctx context.Context, name string, params []any) (any, error) {
	return r.peer.call(ctx, askCallLive, name, params...)
}

func (r remote) newLive(name string) (any, error) { return r.ask(askNewLive, name) }

func (r remote) liveData(name string) (Data, error) {
	data, err := r.ask(askLiveData, name)
	is, _ := data.(Data)
	return is, err
}

func (r remote) callPlugin(ctx context.Context, plugin, name string, params []any) (any, error) {
	if len(params) > 0 {
		if _, is := params[0].(context.Context); is {
			return r.peer.call(ctx, askCallPlugin, name, append([]any{params[0], plugin}, params[1:]...)...)
		}
	}
	return r.peer.call(ctx, askCallPlugin, name, append([]any{plugin}, params...)...)
}

func (r remote) bagGet(name string) (item, error) {
	found, err := r.ask(askBagGet, name)
	is, _ := found.(wireItem)
	return item{value: is.Value, is: is.Is, revision: is.Revision}, err
}

func (r remote) bagPut(name string, put item, expected int64) (bool, error) {
	done, err := r.ask(askBagPut, name, wireItem{Value: put.value, Is: put.is, Revision: expected})
	is, _ := done.(bool)
	return is, err
}

func (r remote) bagDelete(name string) error {
	_, err := r.ask(askBagDelete, name)
	return err
}

func (r remote) bagKeys() ([]string, error) {
	names, err := r.ask(askBagKeys, "")
	is, _ := names.([]string)
	return is, err
}
