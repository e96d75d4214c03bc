// A version whose code runs in a process of its own, as the manager sees it. When the process crashes, the calls under
// way fail with ErrCrashed, and the next one starts it again and takes it through OnLoad and OnInit.

//go:build unix

package hotplug

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

type process struct {
	manager *Manager
	name    string
	path    string
	hello   hello

	// Held by who starts the process again; a channel, so that waiting for it has a deadline.
	turn chan struct{}

	mutex    sync.Mutex
	running  *child
	desk     keeper
	exports  map[string]any
	data     any
	ready    bool
	closed   bool
	crashes  []time.Time
	restarts int
	version  string
}

// inside marks, in a context, what the process itself has asked for.
type inside struct{}

func openProcess(m *Manager, name, path string) (instance, error) {
	p := &process{manager: m, name: name, path: path, turn: make(chan struct{}, 1)}
	var err error
	if p.hello, err = p.start(); err != nil {
		return nil, err
	}
	return p, nil
}

// start starts a process and hears who it is.
func (p *process) start() (hello, error) {
	child, err := startChild(p.path, p.manager.options.output, func(ctx context.Context, r request) (any, error) {
		p.mutex.Lock()
		desk := p.desk
		p.mutex.Unlock()
		if desk == nil {
			return nil, fmt.Errorf("%w: the vault is not ready before OnInit", ErrNoValue)
		}
		return serveHost(context.WithValue(ctx, inside{}, p), desk, r)
	})
	if err != nil {
		return hello{}, err
	}
	p.mutex.Lock()
	p.running = child
	p.mutex.Unlock()
	said, err := p.hook(child, doHello)
	if err != nil {
		child.end()
		return hello{}, err
	}
	is, _ := said.(hello)
	go func() {
		<-child.exited
		p.mutex.Lock()
		unexpected, version := p.ready && !p.closed && p.running == child, p.version
		p.mutex.Unlock()
		if unexpected {
			p.manager.tell(Event{What: "crashed", Plugin: p.name, Version: version, Err: child.crash()})
		}
	}()
	return is, nil
}

// hook calls one of the plugin's hooks, within the time that these have.
func (p *process) hook(child *child, method string, params ...any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.manager.options.hookTime)
	defer cancel()
	result, err := child.peer.call(ctx, method, "", params...)
	return result, p.explain(child, steps[method], err)
}

var steps = map[string]string{
	doHello: "open", doReloadable: "Reloadable", doExport: "Export", doExported: "Export", doImports: "Import",
	doBind: "Import", doLoad: "OnLoad", doInit: "OnInit", doFree: "OnFree",
}

func (p *process) explain(child *child, step string, err error) error {
	if errors.Is(err, errLost) {
		err = child.crash()
	}
	return named(p.name, step, err)
}

// now is the process, whether it runs or not.
func (p *process) now() *child {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.running
}

// alive is a process that runs: the one there is, or another.
func (p *process) alive(ctx context.Context) (*child, error) {
	p.mutex.Lock()
	running, ready := p.running, p.ready
	p.mutex.Unlock()
	// Before the first OnInit only those call who know what they do, and it may call itself at any time.
	if running.runs() && (running.whole.Load() || !ready || ctx.Value(inside{}) == p) {
		return running, nil
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	old := p.now()
	if old.runs() {
		return old, nil
	}
	crash := old.crash()
	p.mutex.Lock()
	closed, version := p.closed, p.version
	may, crashes := mayRestart(p.crashes, time.Now())
	if may {
		crashes = append(crashes, time.Now())
	}
	p.crashes = crashes
	p.mutex.Unlock()
	if closed || !ready {
		return nil, crash
	}
	if !may {
		return nil, fmt.Errorf("%w: %d times within %v: reload it: %w", ErrCrashed, crashesMost, crashesWithin, crash)
	}
	if err := p.again(); err != nil {
		return nil, fmt.Errorf("%w: it cannot be started again: %w", ErrCrashed, err)
	}
	p.manager.tell(Event{What: "started again", Plugin: p.name, Version: version})
	return p.now(), nil
}

// again starts the process and takes it to where the old one was.
func (p *process) again() error {
	if _, err := p.start(); err != nil {
		return err
	}
	child := p.now()
	p.mutex.Lock()
	p.restarts++
	exports, data := p.exports, p.data
	p.mutex.Unlock()
	for _, step := range []struct {
		method string
		params []any
	}{{doExport, nil}, {doImports, nil}, {doBind, []any{exports}}, {doLoad, []any{data}}, {doInit, nil}} {
		if _, err := p.hook(child, step.method, step.params...); err != nil {
			child.end()
			return err
		}
	}
	child.whole.Store(true)
	return nil
}

func (p *process) metadata() Metadata { return p.hello.Metadata }

func (p *process) identify(meta Metadata) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.version = meta.Version()
}

func (p *process) live() []string { return p.hello.Live }

func (p *process) reloadable() (bool, error) {
	child, err := p.alive(context.Background())
	if err != nil {
		// What does not run can be replaced.
		return true, nil
	}
	may, err := p.hook(child, doReloadable)
	is, _ := may.(bool)
	if errors.Is(err, ErrCrashed) {
		return true, nil
	}
	return is, err
}

func (p *process) export() error {
	_, err := p.hook(p.now(), doExport)
	return err
}

func (p *process) exported() (any, error) {
	child, err := p.current()
	if err != nil {
		return nil, named(p.name, "Export", err)
	}
	return p.hook(child, doExported)
}

// current is the process in the middle of a reload, and a process that runs after it.
func (p *process) current() (*child, error) {
	p.mutex.Lock()
	ready, running := p.ready, p.running
	p.mutex.Unlock()
	if !ready {
		return running, nil
	}
	return p.alive(context.Background())
}

func (p *process) imports() ([]need, error) {
	needs, err := p.hook(p.now(), doImports)
	is, _ := needs.([]need)
	return is, err
}

func (p *process) bind(exports map[string]any, desk keeper) error {
	p.mutex.Lock()
	p.exports, p.desk = exports, desk
	p.mutex.Unlock()
	_, err := p.hook(p.now(), doBind, exports)
	return err
}

func (p *process) onLoad(data any) error {
	p.mutex.Lock()
	p.data = data
	p.mutex.Unlock()
	_, err := p.hook(p.now(), doLoad, data)
	return err
}

func (p *process) onInit(desk keeper) error {
	child := p.now()
	_, err := p.hook(child, doInit)
	if err == nil {
		child.whole.Store(true)
		p.mutex.Lock()
		p.ready = true
		p.mutex.Unlock()
	}
	return err
}

func (p *process) onFree() error {
	p.mutex.Lock()
	p.closed = true
	child := p.running
	p.mutex.Unlock()
	_, err := p.hook(child, doFree)
	if errors.Is(err, ErrCrashed) {
		// The process is gone, and what it had with it.
		return nil
	}
	return err
}

func (p *process) invoke(ctx context.Context, name string, params []any) (any, error) {
	return p.call(ctx, doInvoke, name, params)
}

func (p *process) callLive(ctx context.Context, name string, params []any) (any, error) {
	return p.call(ctx, doLive, name, params)
}

func (p *process) call(ctx context.Context, method, name string, params []any) (any, error) {
	if limit := p.manager.options.callTime; limit > 0 {
		if _, bounded := ctx.Deadline(); !bounded {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
	}
	child, err := p.alive(ctx)
	if err != nil {
		return nil, named(p.name, name, err)
	}
	result, err := child.peer.call(ctx, method, name, params...)
	return result, p.explain(child, name, err)
}

func (p *process) newLive(name string) (any, error) {
	cause := fmt.Errorf("%w: the type belongs to another process: pass `hotplug.Data` on to a live function", ErrCannotCross)
	return nil, &Error{Plugin: p.name, Step: name, Cause: cause}
}

func (p *process) liveData(name string) (Data, error) {
	data, err := p.call(context.Background(), doLiveData, name, nil)
	is, _ := data.(Data)
	return is, err
}

func (p *process) state() (int, int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.running.command.Process.Pid, p.restarts
}

func (p *process) close() {
	p.mutex.Lock()
	p.closed = true
	child := p.running
	p.mutex.Unlock()
	child.end()
	os.Remove(p.path)
}
