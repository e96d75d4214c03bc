// What a host can ask of its manager.

package hotplug

import (
	"io"
	"os"
	"time"
)

// An Option of [New].
type Option func(*options)

type options struct {
	plugins    []func() []Plugin
	dirs       []string
	only       map[string]bool
	extensions map[string]any
	vetoes     []func(fresh, old *Snapshot) error
	tell       func(Event)
	watch      time.Duration
	admin      bool
	adminPath  string
	output     io.Writer
	callTime   time.Duration
	hookTime   time.Duration
}

func defaults() options {
	return options{extensions: map[string]any{}, tell: func(Event) {}, output: os.Stderr, hookTime: time.Minute}
}

// WithPlugins adds plugins that are linked into the host; `list` is called at each load. Pass it [Registered] for those
// that generated code has registered.
func WithPlugins(list func() []Plugin) Option {
	return func(o *options) { o.plugins = append(o.plugins, list) }
}

// WithDir adds a directory of plugins: shared objects (`name.so`) and executables (`name.proc`), each with or without a
// sidecar (`name.so.json`); see [Sidecar].
func WithDir(path string) Option {
	return func(o *options) { o.dirs = append(o.dirs, path) }
}

// WithOnly leaves out all plugins but these.
func WithOnly(plugins ...string) Option {
	return func(o *options) {
		if o.only == nil {
			o.only = map[string]bool{}
		}
		for _, name := range plugins {
			o.only[key(name)] = true
		}
	}
}

// WithExtension gives plugins a value of the host, by name.
func WithExtension(name string, value any) Option {
	return func(o *options) { o.extensions[name] = value }
}

// WithVeto has `judge` look at new versions before they become active: they are loaded and initialised, and can be
// called. An error keeps the old ones. At the first load `old` is empty.
func WithVeto(judge func(fresh, old *Snapshot) error) Option {
	return func(o *options) { o.vetoes = append(o.vetoes, judge) }
}

// WithEvents tells `hear` what happens. It is called by several goroutines, some of which hold the manager's lock: it
// should be quick, and must not load, reload, unload or close.
func WithEvents(hear func(Event)) Option {
	return func(o *options) { o.tell = hear }
}

// WithWatch looks at the directories in this interval from the first load on, and reloads when a file has changed, come
// or gone. Files should be written elsewhere and renamed into place; what changes between two looks is
// left alone until it does not.
func WithWatch(interval time.Duration) Option {
	return func(o *options) { o.watch = interval }
}

// WithAdmin opens the admin socket at a path, in a directory that only this user can enter; with an empty path at
// [AdminPath]. The package's documentation describes what is spoken there.
func WithAdmin(path string) Option {
	return func(o *options) { o.admin, o.adminPath = true, path }
}

// WithOutput sets where plugins in processes of their own write what they print; without it that is the host's standard
// error.
func WithOutput(output io.Writer) Option {
	return func(o *options) { o.output = output }
}

// WithCallTimeout bounds calls into processes that have no deadline of their own. Without it they may take any time.
func WithCallTimeout(limit time.Duration) Option {
	return func(o *options) { o.callTime = limit }
}

// WithHookTimeout bounds OnLoad and the other hooks in processes; without it they have a minute.
func WithHookTimeout(limit time.Duration) Option {
	return func(o *options) { o.hookTime = limit }
}

// Event is something that has happened.
type Event struct {
	// What it is: `reloaded`, `reload failed`, `freed`, `free failed`, `crashed`, `started again`, `watch failed` or
	// `admin failed`.
	What string
	// Plugin and Version say to whom, where it is one.
	Plugin, Version string
	// Details are those of a reload.
	Details Details
	// Err is why, where something failed.
	Err error
}
