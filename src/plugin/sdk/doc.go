// The documentation of the package.

// Package hotplug loads plugins into a running Go program, calls them, and replaces them by newer versions without a
// call that fails.
//
// # Plugins
//
// A plugin is a Go package with these functions at package level:
//
//	func OnLoad(data any) error
//	func OnInit(vault *hotplug.Vault) error
//	func OnFree()
//	func Export() any
//	func Import() any
//	func InvokeFunc(name string, params ...any) (any, error)
//	func Reloadable() bool
//
// `hotwatch plugin build` makes of it one of three forms, which a host uses alike: a shared object (`name.so`, for hosts
// that import hotwatch.invalid/hotplug/so), an executable that runs as a process of its own (`name.proc`), or a package
// that is linked into the host.
//
// # The host
//
//	plugins, err := hotplug.New(hotplug.WithDir("plugins"), hotplug.WithWatch(time.Second), hotplug.WithAdmin(""))
//	...
//	details, err := plugins.Load(nil)
//	...
//	greeting, err := plugins.InvokeFunc("greeter", "greet", "Ada")
//
// A reload takes all plugins that have changed through these steps, each for all plugins before the next one; from OnLoad
// on dependencies go first:
//
//  1. Reloadable, asked of the active version. One that refuses keeps its place.
//  2. Export
//  3. Import, after which the order is known, and what the plugins import is filled in
//  4. OnLoad
//  5. the vault is initialised: its live names are those of the new versions
//  6. OnInit
//  7. the host's veto ([WithVeto]), and the switch
//
// When a step fails or panics, everything new is released (with OnFree where OnLoad had succeeded), what it has put into
// the data bag is taken back, the old versions stay active, and the error is an [*Error] that names plugin, step and
// cause. A plugin whose hash is that of the active version is not touched.
//
// The switch is one exchange of a pointer. Calls under way end in the version in which they have begun. Each use of a
// version is counted: a call, a stream that is not closed, a [Handle], a plugin that imports what it exports, and a value
// with code in the data bag. OnFree is called when the last one is gone.
//
// # Imports
//
// What Export returns is one value, mostly of an interface that is declared in a package which both plugins import.
// Import returns a pointer to a struct whose fields are named like plugins, or tagged `plugin:"name"`:
//
//	var imports struct {
//		Store  store.Reader   // gets what plugin store exports
//		Mailer hotplug.Caller // calls functions of plugin mailer, by name
//	}
//
//	func Import() any { return &imports }
//
// A field of an exported type ties its plugin to that version: when the other one is rebuilt, it has to be, too, or the
// reload fails with [ErrStale]. A [Caller] always calls the newest version. Both make the other plugin go first.
//
// A plugin whose Export returns [Factories] offers constructors by ID; the host finds them by [FactoryOf].
//
// # Live functions, types and data
//
// Functions, types and variables at package level whose names begin with `live_` (in any case) can be reached through the
// [Vault] by everyone, always in their newest version. Types and variables have to be plain data: no functions, channels,
// interfaces or unexported fields. A job that is to outlive a version is [Data]:
//
//	type Live_Mail struct{ To string }
//
//	func live_send(mail Live_Mail) error { ... }
//
//	job, err := vault.Pack(Live_Mail{To: "ada@example.com"})
//	...
//	_, err = vault.CallLive("live_send", job) // whichever version there is by then
//
// # Processes
//
// A plugin in a process of its own is called over a socket that it inherits; many calls run at once. Loading, unloading
// and replacing it frees everything that it had. What goes to it and comes back is copied, all but the
// commonest types by encoding/gob:
//
//   - basic types, slices of them, []any, map[string]any, [time.Time], [time.Duration], [Data] and nil;
//   - values of other types that both sides have registered by [RegisterType]; they arrive as the registered type, also
//     where a pointer was sent, and a pointer to a zero value inside of a struct arrives as nil, as is gob's way;
//   - errors, as their text and those of this package's causes that they have ([ErrNoFunction] and so on);
//   - a [context.Context], if it is the first parameter: as deadline and cancellation, without values;
//   - a [*Stream] as a result.
//
// Functions, channels, interfaces' methods, unexported fields, nil inside of slices and maps, what contains itself or is
// nested more than 1000 deep, and more than 64 MiB at once cannot cross: that is [ErrCannotCross], and says where it
// stands. The same holds for what the
// host gives to OnLoad, for extensions (call those that are functions by [Vault.CallExtension]), for the data bag and for
// what Export returns; imports work by a [Caller].
//
// When such a process crashes, the calls under way fail with [ErrCrashed], and the host goes on. The next call starts it
// again and takes it through Export, Import, OnLoad and OnInit; after five crashes within a minute it stays down until
// the plugin is reloaded. Such a process ends when its host does, however that ends.
//
// # The admin socket
//
// [WithAdmin] opens a unix socket (mode 0600, in a directory with mode 0700) on which each line is a request in JSON and
// is answered by one line. A connection may ask any number of times.
//
//	{"do":"list"}      {"ok":true,"plugins":[{"name":"greeter","version":"0a1b2c3d4e5f-7","form":"shared object"}]}
//	{"do":"manifest"}  {"ok":true,"manifest":{"pid":1,"sdk":1,"started":"...","plugins":[{"name":...}]}}
//	{"do":"reload"}    {"ok":true,"details":{"plugins":[{"name":"greeter","outcome":"reloaded","version":"...","previous":"..."}],"ms":12}}
//	{"do":"unload","plugins":["greeter"]}  as reload
//
// The entries of a manifest are those of [ManifestEntry], the outcomes those of [Outcome]. What fails is answered by
// {"ok":false,"error":"...","plugin":"greeter","step":"OnInit"}, the last two where they are known. Plugins are missing
// from a list that is empty.
package hotplug
