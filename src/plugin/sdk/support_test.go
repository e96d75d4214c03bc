// What the tests of this package share: a journal of what plugins did, events to wait for, and plugins made on the spot.

package hotplug_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hotwatch.invalid/hotplug"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// journal is what has happened, in order; it can be waited for.
type journal struct {
	mutex   sync.Mutex
	lines   []string
	changed chan struct{}
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

func (j *journal) add(line string) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.lines = append(j.lines, line)
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *journal) all() ([]string, <-chan struct{}) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return append([]string(nil), j.lines...), j.changed
}

func (j *journal) text() string {
	lines, _ := j.all()
	return strings.Join(lines, "\n")
}

func (j *journal) count(line string) (found int) {
	lines, _ := j.all()
	for _, is := range lines {
		if is == line {
			found++
		}
	}
	return found
}

// wait waits until a line has come so many times.
func (j *journal) wait(t *testing.T, line string, times int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		_, changed := j.all()
		if j.count(line) >= times {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("`%s` has come %d times of %d:\n%s", line, j.count(line), times, j.text())
		}
	}
}

// events writes a manager's events down.
func (j *journal) events() hotplug.Option {
	return hotplug.WithEvents(func(event hotplug.Event) {
		j.add(strings.TrimSpace(event.What + " " + event.Plugin + " " + event.Version))
	})
}

// plugin is a linked plugin that writes down what is called.
func (j *journal) plugin(name, hash string, changes ...func(*hotplug.Plugin)) hotplug.Plugin {
	step := func(step string) { j.add(name + hash + " " + step) }
	made := hotplug.Plugin{
		Metadata: hotplug.Metadata{Name: name, Hash: hash, Generation: 1, SDK: hotplug.SDKVersion},
		Functions: hotplug.Functions{
			OnLoad:     func(any) error { step("OnLoad"); return nil },
			OnInit:     func(*hotplug.Vault) error { step("OnInit"); return nil },
			OnFree:     func() { step("OnFree") },
			Export:     func() any { step("Export"); return nil },
			Import:     func() any { step("Import"); return nil },
			Reloadable: func() bool { step("Reloadable"); return true },
			InvokeFunc: hotplug.Table{"version": func() string { return hash }}.Invoke,
		},
	}
	for _, change := range changes {
		change(&made)
	}
	return made
}

func imports(names ...string) func(*hotplug.Plugin) {
	return func(p *hotplug.Plugin) { p.Import = func() any { return names } }
}

// shelf is what a manager finds; tests put other plugins there.
type shelf struct {
	mutex   sync.Mutex
	plugins []hotplug.Plugin
}

func (s *shelf) put(plugins ...hotplug.Plugin) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.plugins = plugins
}

func (s *shelf) list() []hotplug.Plugin {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.plugins
}

// manager makes one that is closed with the test, with nothing left in use.
func manager(t testing.TB, options ...hotplug.Option) *hotplug.Manager {
	t.Helper()
	m, err := hotplug.New(append([]hotplug.Option{hotplug.WithOutput(io.Discard)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := m.Close(ctx); err != nil && err != hotplug.ErrClosed {
			t.Error(err)
		}
	})
	return m
}

// until waits for what gives no sign of its own.
func until(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to pass")
		}
	}
}

func load(t *testing.T, m *hotplug.Manager) hotplug.Details {
	t.Helper()
	details, err := m.Load("data")
	if err != nil {
		t.Fatal(err)
	}
	return details
}

func answer(t *testing.T, m *hotplug.Manager, plugin, name string, params ...any) any {
	t.Helper()
	result, err := m.InvokeFunc(plugin, name, params...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// contains fails unless an error is there and says all of this.
func contains(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, expected one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("`%v` does not say `%s`", err, part)
		}
	}
}

// host makes the tests' binary a host of its own that loads a directory, where there are processes.
var host func(dir string)

// temporary is where everything that the tests write is.
var temporary string

func TestMain(m *testing.M) {
	if dir := os.Getenv("HOTPLUG_TEST_HOST"); dir != "" && host != nil {
		host(dir)
		return
	}
	code := func() int {
		var err error
		if temporary, err = os.MkdirTemp("", "hotplug-test-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(temporary)
		stages := filepath.Join(temporary, "tmp")
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

// echo is the plugin of testdata/echo as an executable, built once.
func echo(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(temporary, "echo"), "./testdata/echo")
		if text, err := build.CombinedOutput(); err != nil {
			builtErr = fmt.Errorf("%w: %s", err, text)
		}
	})
	if builtErr != nil {
		t.Fatal(builtErr)
	}
	return filepath.Join(temporary, "echo")
}

var (
	built    sync.Once
	builtErr error
)
