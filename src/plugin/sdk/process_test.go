// Plugins in processes of their own: real children over real sockets.

//go:build unix

package hotplug_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hotwatch.invalid/hotplug"
	"hotwatch.invalid/hotplug/testdata/jobs"
)

// place puts a file into a directory as a whole.
func place(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	fresh := filepath.Join(dir, ".new-"+name)
	if err := os.WriteFile(fresh, content, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// withEcho makes a directory with the plugin, under a hash.
func withEcho(t testing.TB, hash string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	place(t, dir, "echo.proc", text)
	rehash(t, dir, hash)
	return dir
}

// rehash makes the plugin count as built anew.
func rehash(t testing.TB, dir, hash string) {
	t.Helper()
	place(t, dir, "echo.proc.json", []byte(fmt.Sprintf(`{"hash":%q}`, hash)))
}

// alive tells whether there is a process.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAProcessIsCalledLikeAnyPlugin(t *testing.T) {
	jobs.Register()
	m := manager(t, hotplug.WithDir(withEcho(t, "1")))
	details := load(t, m)
	if details.Of("echo") != hotplug.Loaded || details.Plugins[0].Version != "1-1" {
		t.Error(details)
	}
	pid := answer(t, m, "echo", "pid").(int)
	if entry := m.Manifest().Plugins[0]; pid == os.Getpid() || entry.PID != pid || entry.Form != hotplug.Process {
		t.Error(pid, entry)
	}
	if loaded := answer(t, m, "echo", "loaded"); loaded != "data" {
		t.Error(loaded)
	}
	if answer(t, m, "echo", "env", "HOTPLUG_SOCKET") != "" {
		t.Error("what the plugin starts would see the socket")
	}
	seven := 7
	job := jobs.Job{Name: "x", Parts: []jobs.Part{{N: &seven}}, By: map[string]int{"a": 1}}
	if got := answer(t, m, "echo", "job", job); got != "x1 7 map[a:1]" {
		t.Errorf("%q", got)
	}
	for _, value := range []any{
		nil, 1, "x", true, 1.5, []byte("x"), []string{"a"}, []any{1, "x", []any{2}}, map[string]any{"a": []any{1}}, time.Second,
		time.Unix(1, 2).UTC(), hotplug.Data{Type: "T", Value: []byte(`{"a":1}`)}, job,
	} {
		if got := answer(t, m, "echo", "echo", value); !reflect.DeepEqual(got, value) {
			t.Errorf("%#v came back as %#v", value, got)
		}
	}
	type stranger struct{ A int }
	for _, row := range []struct {
		name   string
		params []any
		is     error
		says   string
	}{
		{"echo", []any{func() {}}, hotplug.ErrCannotCross, "a `func()` belongs to its process"},
		{"echo", []any{stranger{1}}, hotplug.ErrCannotCross, "call `hotplug.RegisterType` for it"},
		{"echo", []any{struct{ a int }{1}}, hotplug.ErrCannotCross, "its field `a` would be lost"},
		{"func", nil, hotplug.ErrCannotCross, "a `func()` belongs to its process"},
		{"big", []any{65 << 20}, hotplug.ErrCannotCross, "send it as a `hotplug.Stream`"},
		{"gone", nil, hotplug.ErrNoFunction, "plugin `echo`: `gone` failed: no such function"},
		{"pid", []any{1}, hotplug.ErrSignature, "was given 1 parameters"},
		{"fail", nil, nil, "plugin `echo`: `fail` failed: failed as asked"},
		{"panic", nil, hotplug.ErrPanic, "panicked as asked"},
		{"names", []any{1}, hotplug.ErrSignature, ""},
		{"other", []any{"x"}, hotplug.ErrPanic, "nil pointer"},
	} {
		_, err := m.InvokeFunc("echo", row.name, row.params...)
		contains(t, err, row.says)
		if row.is != nil && !errors.Is(err, row.is) {
			t.Errorf("`%v` is not `%v`", err, row.is)
		}
	}
	if again := answer(t, m, "echo", "pid"); again != pid {
		t.Error("it was started again")
	}
}

func TestCallsOfAProcessRunBesideEachOther(t *testing.T) {
	m := manager(t, hotplug.WithDir(withEcho(t, "1")))
	load(t, m)
	ctx, cancel := context.WithCancel(context.Background())
	var calls sync.WaitGroup
	for i := 0; i < 50; i++ {
		calls.Add(1)
		go func() {
			defer calls.Done()
			if _, err := m.InvokeFunc("echo", "block", ctx); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}()
	}
	until(t, func() bool { return answer(t, m, "echo", "count") == int64(50) })
	cancel()
	calls.Wait()
	// The plugin has heard of it.
	until(t, func() bool { return answer(t, m, "echo", "count") == int64(0) })
}

func TestNoCallFailsWhileAProcessIsReplaced(t *testing.T) {
	dir := withEcho(t, "0")
	m := manager(t, hotplug.WithDir(dir))
	load(t, m)
	end, stop := context.WithTimeout(context.Background(), duration(t))
	defer stop()
	var callers sync.WaitGroup
	var calls atomic.Int64
	for i := 0; i < 8; i++ {
		callers.Add(1)
		go func(i int) {
			defer callers.Done()
			for end.Err() == nil {
				calls.Add(1)
				if got, err := m.InvokeFunc("echo", "echo", i); got != i || err != nil {
					t.Error(got, err)
				}
			}
		}(i)
	}
	reloads := 0
	for ; end.Err() == nil; reloads++ {
		rehash(t, dir, fmt.Sprint(reloads+1))
		load(t, m)
	}
	callers.Wait()
	t.Logf("%d calls, none failed, %d reloads", calls.Load(), reloads)
}

func TestDeadlinesCross(t *testing.T) {
	m := manager(t, hotplug.WithDir(withEcho(t, "1")), hotplug.WithCallTimeout(50*time.Millisecond))
	load(t, m)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	for name, call := range map[string]func() error{
		"the context of the function": func() error { _, err := m.InvokeFunc("echo", "block", ctx); return err },
		"the context of the call":     func() error { _, err := m.InvokeFuncContext(ctx, "echo", "sleep", time.Hour); return err },
		"the default":                 func() error { _, err := m.InvokeFunc("echo", "sleep", time.Hour); return err },
		"both":                        func() error { _, err := m.InvokeFuncContext(ctx, "echo", "block", context.Background()); return err },
	} {
		if err := call(); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(name, err)
		}
	}
	until(t, func() bool { return answer(t, m, "echo", "count") == int64(0) })
}

func TestStreamsOfAProcess(t *testing.T) {
	journal := newJournal()
	m := manager(t, journal.events(), hotplug.WithDir(withEcho(t, "1")))
	load(t, m)
	all := answer(t, m, "echo", "numbers", 10000).(*hotplug.Stream)
	for i := 0; i < 10000; i++ {
		if got, err := all.Next(context.Background()); got != i || err != nil {
			t.Fatal(i, got, err)
		}
	}
	if _, err := all.Next(context.Background()); err != io.EOF {
		t.Error(err)
	}
	// More than fits into any buffer: the producer waits for the reader, and ends with it.
	endless := answer(t, m, "echo", "numbers", 1<<40).(*hotplug.Stream)
	endless.Next(context.Background())
	unread := answer(t, m, "echo", "numbers", 1<<40).(*hotplug.Stream)
	bad := answer(t, m, "echo", "numbers", 13).(*hotplug.Stream)
	var err error
	for i := 0; i < 13 && err == nil; i++ {
		_, err = bad.Next(context.Background())
	}
	if _, end := bad.Next(context.Background()); err != nil || end == nil || end.Error() != "thirteen" {
		t.Error(err, end)
	}
	until(t, func() bool { return answer(t, m, "echo", "count") == int64(1) })
	endless.Close()
	until(t, func() bool { return answer(t, m, "echo", "count") == int64(0) })
	if _, err := m.Unload("echo"); err != nil {
		t.Fatal(err)
	}
	if living := m.Manifest().Plugins; len(living) != 1 || living[0].Users != 1 {
		t.Error("an open stream does not keep its version:", living)
	}
	unread.Close()
	journal.wait(t, "freed echo 1-1", 1)
}

func TestTheVaultOfAProcess(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	shelf.put(journal.plugin("linked", "1", func(p *hotplug.Plugin) {
		p.LiveFuncs = map[string]any{
			"live_here": func(text string) string { return text + " here" },
			"live_chan": func() any { return make(chan int) },
			"live_count": func() *hotplug.Stream {
				return hotplug.NewStream(func(_ context.Context, send func(any) error) error { return send(1) })
			},
		}
		p.Functions.InvokeFunc = hotplug.Table{"ask": func(ctx context.Context, text string) string { return text + " asked" }}.Invoke
	}))
	t.Setenv("ECHO_IMPORT", "caller")
	other := func(p *hotplug.Plugin) {
		p.Functions.InvokeFunc = hotplug.Table{"ask": func(ctx context.Context, text string) string { return text + " asked" }}.Invoke
	}
	shelf.put(append(shelf.list(), journal.plugin("other", "1", other))...)
	m := manager(t, hotplug.WithPlugins(shelf.list), hotplug.WithDir(withEcho(t, "1")),
		hotplug.WithExtension("number", 5), hotplug.WithExtension("shout", strings.ToUpper))
	load(t, m)
	if manifest := m.Manifest(); manifest.Plugins[1].Name != "echo" || manifest.Plugins[1].Imports[0] != "Other" {
		t.Error("the import does not count:", manifest)
	}
	ask := func(want any, says string, name string, params ...any) {
		t.Helper()
		got, err := m.InvokeFunc("echo", name, params...)
		if says != "" {
			contains(t, err, says)
		} else if got != want || err != nil {
			t.Error(name, got, err)
		}
	}
	ask(5, "", "extension", "number")
	ask(nil, "a `func(string) string` belongs to its process", "extension", "shout")
	ask(nil, "the host has no extension `gone`", "extension", "gone")
	ask("HI", "", "shout", "hi")
	ask(1, "", "hit")
	ask(2, "", "hit")
	if hits, err := hotplug.Get[int](m.Vault().Bag(), "hits"); hits != 2 || err != nil {
		t.Error(hits, err)
	}
	ask("hits", "", "names")
	ask(nil, "is `int`, not `string`", "wrong")
	ask("go here", "", "live", "live_here", "go")
	ask(nil, "a `chan int` belongs", "live", "live_chan")
	ask(nil, "nothing live is called `live_gone`", "live", "live_gone")
	ask("was asked", "", "other", "ask", "was")
	// From process to process, by way of the host.
	job, err := hotplug.Pack(struct{ To string }{"ada"})
	if err != nil {
		t.Fatal(err)
	}
	ask("process sends to ada", "", "live", "live_send", job)
	if got, err := m.Vault().CallLive("LIVE_SEND", job); got != "process sends to ada" || err != nil {
		t.Error(got, err)
	}
	data, err := m.Vault().LiveData("live_table")
	if err != nil || string(data.Value) != `{"one":1}` {
		t.Error(data, err)
	}
	if _, err := m.Vault().NewLive("Live_Mail"); !errors.Is(err, hotplug.ErrCannotCross) {
		t.Error(err)
	}
	stream := answer(t, m, "echo", "live", "live_count").(*hotplug.Stream)
	if got, err := stream.Next(context.Background()); got != 1 || err != nil {
		t.Error(got, err)
	}
	if _, err := stream.Next(context.Background()); err != io.EOF {
		t.Error(err)
	}
}

func TestDataIsImportedByAProcessAndFromIt(t *testing.T) {
	t.Setenv("ECHO_IMPORT", "data")
	t.Setenv("ECHO_EXPORT", "data")
	shelf := &shelf{}
	needs := &struct {
		Words []string `plugin:"echo"`
	}{}
	var export any = map[string]int{"tea": 3}
	shelf.put(
		newJournal().plugin("prices", "1", func(p *hotplug.Plugin) { p.Export = func() any { return export } }),
		newJournal().plugin("reader", "1", func(p *hotplug.Plugin) { p.Import = func() any { return needs } }),
	)
	m := manager(t, hotplug.WithPlugins(shelf.list), hotplug.WithDir(withEcho(t, "1")))
	load(t, m)
	if got := answer(t, m, "echo", "price", "tea"); got != 3 || strings.Join(needs.Words, " ") != "of a process" {
		t.Error(got, needs)
	}
	// It is there again after a crash.
	m.InvokeFunc("echo", "exit")
	if got := answer(t, m, "echo", "price", "tea"); got != 3 {
		t.Error(got)
	}
	for _, row := range []struct {
		hash, own, says string
		export          any
	}{
		{"2", "data", "plugin `echo`: `Import` failed: cannot cross to another process: `map[string]interface {}`: the value of `prices`: a `func()`", func() {}},
		{"3", "data", "plugin `echo`: `Import` failed: the signature differs: it imports `map[string]int` from `Prices`, which exports `string`", "x"},
		{"4", "func", "plugin `echo`: `Export` failed: cannot cross to another process: `func()`", map[string]int{}},
	} {
		t.Setenv("ECHO_EXPORT", row.own)
		export = row.export
		rehash(t, origin(t, m, "echo"), row.hash)
		shelf.put(
			newJournal().plugin("prices", row.hash, func(p *hotplug.Plugin) { p.Export = func() any { return export } }),
			newJournal().plugin("reader", row.hash, func(p *hotplug.Plugin) { p.Import = func() any { return needs } }),
		)
		_, err := m.Load(nil)
		contains(t, err, row.says)
	}
	if got := answer(t, m, "echo", "price", "tea"); got != 3 {
		t.Error(got)
	}
}

func TestACrashIsAnErrorAndNotTheHosts(t *testing.T) {
	journal := newJournal()
	var output bytes.Buffer
	m := manager(t, journal.events(), hotplug.WithDir(withEcho(t, "1")), hotplug.WithOutput(&output))
	load(t, m)
	first := answer(t, m, "echo", "pid").(int)
	stream := answer(t, m, "echo", "numbers", 1<<40).(*hotplug.Stream)
	stream.Next(context.Background())
	under := make(chan error, 10)
	for i := 0; i < cap(under); i++ {
		go func() {
			_, err := m.InvokeFunc("echo", "block", context.Background())
			under <- err
		}()
	}
	until(t, func() bool { return answer(t, m, "echo", "count") == int64(11) })
	_, err := m.InvokeFunc("echo", "exit")
	contains(t, err, "plugin `echo`: `exit` failed: the process has crashed: exit status 3", "last words")
	if !errors.Is(err, hotplug.ErrCrashed) {
		t.Error(err)
	}
	for i := 0; i < cap(under); i++ {
		if err := <-under; !errors.Is(err, hotplug.ErrCrashed) {
			t.Error(err)
		}
	}
	for err = nil; err == nil; {
		_, err = stream.Next(context.Background())
	}
	if !errors.Is(err, hotplug.ErrCrashed) {
		t.Error(err)
	}
	journal.wait(t, "crashed echo 1-1", 1)
	// The next call starts it again, as it was.
	if loaded := answer(t, m, "echo", "loaded"); loaded != "data" {
		t.Error(loaded)
	}
	if second := answer(t, m, "echo", "pid").(int); second == first || m.Manifest().Plugins[0].Restarts != 1 {
		t.Error(second)
	}
	// One that does nothing else stays down, and is there again after a reload.
	for i := 0; i < 20; i++ {
		if _, err = m.InvokeFunc("echo", "exit"); strings.Contains(err.Error(), "5 times within 1m0s: reload it") {
			break
		}
	}
	contains(t, err, "5 times within 1m0s: reload it")
	rehash(t, origin(t, m, "echo"), "2")
	if details := load(t, m); details.Of("echo") != hotplug.Reloaded {
		t.Error(details)
	}
	answer(t, m, "echo", "pid")
	if !strings.Contains(output.String(), "last words\n") {
		t.Error("what it printed is lost")
	}
}

// origin is the directory that a plugin came from.
func origin(t *testing.T, m *hotplug.Manager, plugin string) string {
	t.Helper()
	for _, entry := range m.Manifest().Plugins {
		if entry.Name == plugin {
			return filepath.Dir(entry.Path)
		}
	}
	t.Fatal("not loaded:", plugin)
	return ""
}

func TestAProcessThatIsStartedAgainIsCalledWhenItIsReady(t *testing.T) {
	m := manager(t, hotplug.WithDir(withEcho(t, "1")))
	if _, err := m.Load("slow"); err != nil {
		t.Fatal(err)
	}
	m.InvokeFunc("echo", "exit")
	var calls sync.WaitGroup
	for i := 0; i < 8; i++ {
		calls.Add(1)
		go func() {
			defer calls.Done()
			if ready, err := m.InvokeFunc("echo", "init"); ready != true || err != nil {
				t.Error(ready, err)
			}
		}()
	}
	calls.Wait()
	if restarts := m.Manifest().Plugins[0].Restarts; restarts != 1 {
		t.Errorf("%d restarts", restarts)
	}
}

func TestAStoppedProcessHoldsUpNobodyWithADeadline(t *testing.T) {
	m := manager(t, hotplug.WithDir(withEcho(t, "1")))
	load(t, m)
	pid := answer(t, m, "echo", "pid").(int)
	syscall.Kill(pid, syscall.SIGSTOP)
	defer syscall.Kill(pid, syscall.SIGCONT)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var calls sync.WaitGroup
	var late atomic.Int64
	for i := 0; i < 100; i++ {
		calls.Add(1)
		go func() {
			defer calls.Done()
			// Together they are more than the socket holds. The first ones may be faster than the signal.
			_, err := m.InvokeFuncContext(ctx, "echo", "echo", make([]byte, 100<<10))
			if errors.Is(err, context.DeadlineExceeded) {
				late.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		}()
	}
	calls.Wait()
	if late.Load() < 50 {
		t.Errorf("%d calls have met their deadline", late.Load())
	}
}

func TestFailuresOfAProcessKeepTheOldVersion(t *testing.T) {
	for data, says := range map[string]string{
		"refuse": "plugin `echo`: `OnLoad` failed: refused as asked",
		"panic":  "plugin `echo`: `OnInit` failed: panic: as asked",
		"die":    "plugin `echo`: `OnLoad` failed: the process has crashed: exit status 4",
		"func":   "plugin `echo`: `OnLoad` failed: cannot cross to another process",
		"hang":   "plugin `echo`: `OnLoad` failed: context deadline exceeded",
	} {
		t.Run(data, func(t *testing.T) {
			journal := newJournal()
			dir := withEcho(t, "1")
			freed := filepath.Join(t.TempDir(), "freed")
			t.Setenv("ECHO_FREED", freed)
			m := manager(t, journal.events(), hotplug.WithDir(dir), hotplug.WithHookTimeout(time.Second))
			load(t, m)
			pid := answer(t, m, "echo", "pid")
			rehash(t, dir, "2")
			var give any = data
			if data == "func" {
				give = func() {}
			}
			_, err := m.Load(give)
			contains(t, err, says)
			journal.wait(t, "freed echo 2-2", 1)
			text, _ := os.ReadFile(freed)
			if want := map[bool]string{true: "freed\n"}[data == "panic"]; string(text) != want {
				t.Errorf("freed: %q", text)
			}
			if answer(t, m, "echo", "pid") != pid {
				t.Error("the old version does not run")
			}
			load(t, m)
			journal.wait(t, "freed echo 1-1", 1)
			if alive(pid.(int)) {
				t.Error("its process is still there")
			}
		})
	}
}

func TestAFileThatIsNoPlugin(t *testing.T) {
	for name, row := range map[string]struct{ content, says string }{
		"script": {"#!/bin/sh\necho what; exit 7\n", "plugin `x`: `open` failed: the process has crashed: exit status 7: it printed last: what"},
		"text":   {"hello", "cannot start its process"},
	} {
		dir := t.TempDir()
		place(t, dir, "x.proc", []byte(row.content))
		m := manager(t, hotplug.WithDir(dir))
		_, err := m.Load(nil)
		contains(t, err, row.says)
		if name == "script" && !errors.Is(err, hotplug.ErrCrashed) {
			t.Error(err)
		}
	}
}
