// Shared objects: real ones, built as `hotwatch plugin build` builds them, in the process of the tests.

//go:build cgo && (linux || darwin || freebsd)

package so_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hotwatch.invalid/hotplug"
	_ "hotwatch.invalid/hotplug/so"
)

// The packages of the tests' plugins. Each version has package paths of its own, as the generator gives it; `api` is
// shared.
var sources = map[string]string{
	"go.mod": "module plugs.test\n\ngo 1.22\n\nrequire hotwatch.invalid/hotplug v0.0.0\n\nreplace hotwatch.invalid/hotplug => SDK\n",
	"api/api.go": `package api

type Words interface{ Word() string }
`,
	"none/main.go":  "package main\n\nvar Other int\n\nfunc main() {}\n",
	"wrong/main.go": "package main\n\nvar Hotplug = 3\n\nfunc main() {}\n",
}

// greet is a version of a plugin with a package below it, a job, and something to export.
const greet = `package main

import (
	"errors"
	"time"

	"hotwatch.invalid/hotplug"
	"plugs.test/DIR/words"
)

var vault *hotplug.Vault

type Live_Job struct { To string; EXTRA }

func live_finish(job Live_Job) string { return words.Word() + " finishes " + job.To }

func OnLoad(data any) error { if data == "refuse VERSION" { return errors.New("refused") }; return nil }

func OnInit(v *hotplug.Vault) error { vault = v; if "VERSION" == "3" { panic("three") }; return nil }

func OnFree() { hotplug.Update(vault.Bag(), "freed", func(old []string, _ bool) []string { return append(old, "VERSION") }) }

type exported struct{}

func (exported) Word() string { return words.Word() }

func Export() any { return exported{} }

func Import() any { return nil }

func Reloadable() bool { return true }

func InvokeFunc(name string, params ...any) (any, error) {
	return hotplug.Table{
		"greet": func(who string) string { return words.Word() + ", " + who },
		"slow": func(d time.Duration) string { time.Sleep(d); return words.Word() },
		"job": func(to string) (hotplug.Data, error) { return vault.Pack(Live_Job{To: to}) },
		"word": func() any { return words.Value{} },
	}.Invoke(name, params...)
}

var Hotplug = hotplug.Plugin{
	Metadata: hotplug.Metadata{Name: "greet", Hash: "hash of VERSION", Generation: VERSION, SDK: hotplug.SDKVersion},
	Functions: hotplug.Functions{OnLoad: OnLoad, OnInit: OnInit, OnFree: OnFree, Export: Export, Import: Import, InvokeFunc: InvokeFunc, Reloadable: Reloadable},
	LiveFuncs: map[string]any{"live_finish": live_finish},
	LiveTypes: map[string]any{"Live_Job": Live_Job{}},
}

func main() {}
`

const words = `package words

type Value struct{}

func Word() string { return "WORD" }
`

// shout imports what greet exports.
const shout = `package main

import (
	"strings"

	"hotwatch.invalid/hotplug"
	"plugs.test/api"
)

var imports struct { Greet api.Words }

var Hotplug = hotplug.Plugin{
	Metadata: hotplug.Metadata{Name: "shout", Hash: "VERSION", Generation: VERSION, SDK: hotplug.SDKVersion},
	Functions: hotplug.Functions{
		OnLoad: func(any) error { return nil },
		OnInit: func(*hotplug.Vault) error { return nil },
		OnFree: func() {},
		Export: func() any { return nil },
		Import: func() any { return &imports },
		Reloadable: func() bool { return true },
		InvokeFunc: func(string, ...any) (any, error) { return strings.ToUpper(imports.Greet.Word()), nil },
	},
}

func main() {}
`

var built struct {
	sync.Once
	dir string
	err error
}

// objects is where all of them are, built once.
func objects(t *testing.T) string {
	t.Helper()
	built.Do(func() { built.err = build(built.dir) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

func build(dir string) error {
	sdk, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	all := map[string]string{}
	for name, text := range sources {
		all[name] = strings.ReplaceAll(text, "SDK", sdk)
	}
	packages := []string{"none", "wrong"}
	for version, word := range map[string]string{"1": "hello", "2": "good day", "3": "never"} {
		name := "greet" + version
		fill := strings.NewReplacer("VERSION", version, "DIR", name, "EXTRA", map[string]string{"2": "From string"}[version], "WORD", word)
		all[name+"/main.go"], all[name+"/words/words.go"] = fill.Replace(greet), fill.Replace(words)
		packages = append(packages, name)
	}
	for _, version := range []string{"1", "2"} {
		all["shout"+version+"/main.go"] = strings.ReplaceAll(shout, "VERSION", version)
		packages = append(packages, "shout"+version)
	}
	for name, text := range all {
		path := filepath.Join(dir, "src", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	var failed atomic.Value
	var builds sync.WaitGroup
	places := make(chan bool, 2)
	for _, name := range packages {
		builds.Add(1)
		go func(name string) {
			defer builds.Done()
			places <- true
			defer func() { <-places }()
			command := exec.Command("go", "build", "-buildmode=plugin", fmt.Sprintf("-race=%v", race), "-o", filepath.Join(dir, name+".so"), "./"+name)
			command.Dir = filepath.Join(dir, "src")
			if text, err := command.CombinedOutput(); err != nil {
				failed.Store(fmt.Errorf("%s: %w: %s", name, err, text))
			}
		}(name)
	}
	builds.Wait()
	if err, _ := failed.Load().(error); err != nil {
		return err
	}
	// Another file with the package path of the first.
	text, err := os.ReadFile(filepath.Join(dir, "greet1.so"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "twice.so"), append(text, 0), 0o600)
}

func TestMain(m *testing.M) {
	code := func() int {
		dir, err := os.MkdirTemp("", "hotplug-so-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		built.dir = dir
		stages := filepath.Join(dir, "tmp")
		os.Mkdir(stages, 0o700)
		os.Setenv("TMPDIR", stages)
		code := m.Run()
		if left, _ := os.ReadDir(stages); len(left) > 0 {
			fmt.Println("left behind:", left)
			return 1
		}
		return code
	}()
	os.Exit(code)
}

// put places a shared object under a name, as a whole.
func put(t *testing.T, dir, name, object string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(objects(t), object+".so"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ".new"), text, 0o600)
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, name+".so"))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func manager(t *testing.T, dir string, options ...hotplug.Option) *hotplug.Manager {
	t.Helper()
	m, err := hotplug.New(append(options, hotplug.WithDir(dir))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := m.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return m
}

func load(t *testing.T, m *hotplug.Manager) hotplug.Details {
	t.Helper()
	details, err := m.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	return details
}

// They stay in the process, so one test goes through their life.
func TestSharedObjects(t *testing.T) {
	dir := t.TempDir()
	freed := make(chan string, 100)
	m := manager(t, dir, hotplug.WithEvents(func(event hotplug.Event) {
		if event.What == "freed" {
			freed <- event.Plugin + " " + event.Version
		}
	}))
	gone := func(want string) {
		t.Helper()
		select {
		case got := <-freed:
			if got != want {
				t.Errorf("`%s` is gone, expected `%s`", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("`%s` is not freed", want)
		}
	}
	greets := func(want string) {
		t.Helper()
		if got, err := m.InvokeFunc("greet", "greet", "Ada"); got != want || err != nil {
			t.Error(got, err)
		}
	}
	put(t, dir, "greet", "greet1")
	put(t, dir, "shout", "shout1")
	if details := load(t, m); details.Of("greet") != hotplug.Loaded || details.Plugins[0].Version != "hash of 1-1" {
		t.Error(details)
	}
	greets("hello, Ada")
	if got, err := m.InvokeFunc("shout", ""); got != "HELLO" || err != nil {
		t.Error(got, err)
	}
	if names := m.InvokeEach("greet", "x"); len(names) != 2 || names[0].Plugin != "greet" {
		t.Error(names)
	}
	job, err := m.InvokeFunc("greet", "job", "the job of 1")
	if err != nil {
		t.Fatal(err)
	}

	// What uses it has to be built as well.
	put(t, dir, "greet", "greet2")
	if _, err := m.Reload(); !errors.Is(err, hotplug.ErrStale) || !strings.Contains(err.Error(), "`Greet` was rebuilt while `shout`, which uses it, was not") {
		t.Error(err)
	}
	if version := <-freed; version != "greet hash of 2-2" {
		t.Error(version)
	}
	greets("hello, Ada")
	os.Remove(filepath.Join(dir, "shout.so"))
	old, err := m.Acquire("greet")
	if err != nil {
		t.Fatal(err)
	}

	// Eight callers, while it is replaced.
	end := make(chan bool)
	var callers sync.WaitGroup
	var calls atomic.Int64
	for i := 0; i < 8; i++ {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for {
				select {
				case <-end:
					return
				default:
				}
				calls.Add(1)
				if _, err := m.InvokeFunc("greet", "greet", "x"); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	details, err := m.Load(nil)
	close(end)
	callers.Wait()
	if err != nil || details.Of("greet") != hotplug.Reloaded || details.Of("shout") != hotplug.Unloaded {
		t.Fatal(details, err)
	}
	t.Logf("%d calls during a reload", calls.Load())
	gone("shout 1-1")

	// Two versions side by side, each with types of its own.
	greets("good day, Ada")
	if got, err := old.InvokeFunc("greet", "Bob"); got != "hello, Bob" || err != nil {
		t.Error(got, err)
	}
	first, _ := old.InvokeFunc("word")
	second, _ := m.InvokeFunc("greet", "word")
	if first == second || fmt.Sprintf("%T", first) != fmt.Sprintf("%T", second) {
		t.Errorf("%T and %T are the same", first, second)
	}
	if got, err := m.Vault().CallLive("live_finish", job); got != "good day finishes the job of 1" || err != nil {
		t.Error(got, err)
	}
	if _, err := hotplug.Get[[]string](m.Vault().Bag(), "freed"); !errors.Is(err, hotplug.ErrNoValue) {
		t.Error("freed while it is used")
	}
	old.Release()
	gone("greet hash of 1-1")
	if names, err := hotplug.Get[[]string](m.Vault().Bag(), "freed"); len(names) != 1 || names[0] != "1" || err != nil {
		t.Error(names, err)
	}

	// What fails keeps the version.
	for object, row := range map[string]struct {
		is   error
		says string
	}{
		"greet3": {hotplug.ErrPanic, "plugin `greet`: `OnInit` failed: panic: three"},
		"none":   {hotplug.ErrNoFunction, "plugin `greet`: `open` failed: no such function: it has no `Hotplug`"},
		"wrong":  {hotplug.ErrSignature, "its `Hotplug` is `*int`"},
		"twice":  {nil, "each version needs a package path of its own"},
		"shout2": {hotplug.ErrSignature, "greet.so` is plugin `shout`: rename it"},
	} {
		put(t, dir, "greet", object)
		// The second time says the same.
		for i := 0; i < 2; i++ {
			_, err := m.Reload()
			if err == nil || !strings.Contains(err.Error(), row.says) || row.is != nil && !errors.Is(err, row.is) {
				t.Errorf("%s: %v", object, err)
			}
		}
		greets("good day, Ada")
	}
	// What is in the process already is used again, when nobody else uses it.
	held, err := m.Acquire("greet")
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "greet", "greet1")
	load(t, m)
	greets("hello, Ada")
	put(t, dir, "greet", "greet2")
	if _, err := m.Reload(); err == nil || !strings.Contains(err.Error(), "is still in use: build it again") {
		t.Error(err)
	}
	held.Release()
	load(t, m)
	greets("good day, Ada")
	if err := os.WriteFile(filepath.Join(dir, "greet.so"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Reload(); err == nil || !strings.Contains(err.Error(), "plugin `greet`: `open` failed") {
		t.Error(err)
	}
	greets("good day, Ada")
}

func TestAHostWithoutCgoSaysSo(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.so"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	host := filepath.Join(t.TempDir(), "host")
	build := exec.Command("go", "build", "-o", host, "./testdata/host")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	text, _ := exec.Command(host, dir).CombinedOutput()
	if !strings.Contains(string(text), "plugin `x`: `open` failed: not supported: this host was built without cgo: build it with `CGO_ENABLED=1`") {
		t.Errorf("%s", text)
	}
}
