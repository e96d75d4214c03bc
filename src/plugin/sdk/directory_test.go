// Directories of plugins: what is loaded from them, what is not yet, and what is left behind.

//go:build unix

package hotplug_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotwatch.invalid/hotplug"
)

func TestADirectoryIsWatched(t *testing.T) {
	journal := newJournal()
	dir := withEcho(t, "1")
	m := manager(t, journal.events(), hotplug.WithDir(dir), hotplug.WithWatch(5*time.Millisecond))
	// It is watched also when the first load fails.
	_, err := m.Load("refuse")
	contains(t, err, "refused as asked")
	load(t, m)
	pid := answer(t, m, "echo", "pid")
	rehash(t, dir, "2")
	journal.wait(t, "freed echo 1-2", 1)
	if loaded := answer(t, m, "echo", "loaded"); loaded != "data" {
		t.Error("a reload gives OnLoad something else:", loaded)
	}
	if answer(t, m, "echo", "pid") == pid {
		t.Error("not replaced")
	}
	// What cannot be loaded is said once, and the next file is tried again.
	place(t, dir, "bad.proc", []byte("hello"))
	journal.wait(t, "reload failed", 2)
	answer(t, m, "echo", "pid")
	os.Remove(filepath.Join(dir, "bad.proc"))
	journal.wait(t, "reloaded", 3)
	if failed := journal.count("reload failed"); failed != 2 {
		t.Errorf("it failed %d times", failed)
	}
	// Other files do not count.
	place(t, dir, "readme.txt", nil)
	place(t, dir, ".hidden.so", nil)
	// A directory that is away for a moment unloads nothing.
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	journal.wait(t, "watch failed", 1)
	answer(t, m, "echo", "pid")
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "echo.proc"))
	journal.wait(t, "freed echo 2-3", 1)
	if _, err := m.InvokeFunc("echo", "pid"); !errors.Is(err, hotplug.ErrNoPlugin) {
		t.Error(err)
	}
}

func TestNothingHalfWrittenIsLoaded(t *testing.T) {
	journal := newJournal()
	dir := t.TempDir()
	text, err := os.ReadFile(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	sidecar := fmt.Sprintf(`{"name":"echo","hash":"h","generation":9,"sdk":1,"sha256":"%x"}`, sha256.Sum256(text))
	place(t, dir, "echo.proc.json", []byte(sidecar))
	m := manager(t, journal.events(), hotplug.WithDir(dir), hotplug.WithWatch(5*time.Millisecond))
	load(t, m)
	// Somebody writes in place, slowly.
	file, err := os.OpenFile(filepath.Join(dir, "echo.proc"), os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(text); at += 1 << 18 {
		file.Write(text[at:min(at+1<<18, len(text))])
		_, err := m.Reload()
		if at+1<<18 < len(text) {
			contains(t, err, "plugin `echo`: `open` failed", "rename it into place")
		}
	}
	file.Close()
	until(t, func() bool { _, err := m.InvokeFunc("echo", "pid"); return err == nil })
	if version := m.Manifest().Plugins[0].Version; version != "h-9" {
		t.Error(version)
	}
	// The same source in another build is no change.
	place(t, dir, "echo.proc.json", []byte(`{"name":"echo","hash":"h","generation":9}`))
	place(t, dir, "echo.proc", append(text, 0))
	if details := load(t, m); details.Of("echo") != hotplug.Unchanged {
		t.Error(details)
	}
	place(t, dir, "echo.proc.json", []byte(`{"sdk":99}`))
	_, err = m.Reload()
	contains(t, err, "it was generated for version 99")
	place(t, dir, "echo.proc.json", []byte(`{`))
	_, err = m.Reload()
	contains(t, err, "cannot read `", "build the plugin again")
	place(t, dir, "echo.proc.json", []byte(`{"name":"other"}`))
	_, err = m.Reload()
	contains(t, err, "is plugin `echo`: rename it")
	place(t, dir, "x.so", nil)
	os.Remove(filepath.Join(dir, "echo.proc.json"))
	_, err = m.Reload()
	contains(t, err, "plugin `x`", "this host cannot open shared objects: add `import _ \"hotwatch.invalid/hotplug/so\"`")
	_, err = manager(t, hotplug.WithDir(filepath.Join(dir, "gone"))).Load(nil)
	contains(t, err, "cannot read the directory of plugins")
}

func init() { host = loadAndWait }

// loadAndWait loads a directory, says so, and waits to be killed.
func loadAndWait(dir string) {
	m, err := hotplug.New(hotplug.WithDir(dir), hotplug.WithAdmin(os.Getenv("HOTPLUG_TEST_ADMIN")))
	if err == nil {
		_, err = m.Load(nil)
	}
	var pid any
	if err == nil {
		pid, err = m.InvokeFunc("echo", "pid")
	}
	fmt.Println(pid, err)
	bufio.NewReader(os.Stdin).ReadByte()
}

func TestAHostThatIsKilledLeavesNothingBehind(t *testing.T) {
	dir := withEcho(t, "1")
	freed := filepath.Join(t.TempDir(), "freed")
	socket := filepath.Join(short(t), "admin", "host.sock")
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "HOTPLUG_TEST_HOST="+dir, "ECHO_FREED="+freed, "HOTPLUG_TEST_ADMIN="+socket)
	command.Stderr = os.Stderr
	if _, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(output).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSuffix(line, " <nil>\n"))
	if err != nil || !alive(pid) {
		t.Fatal(line, err)
	}
	// A second host cannot have the socket of a living one.
	_, err = hotplug.New(hotplug.WithAdmin(socket))
	contains(t, err, "another host has")
	stages := func() []string {
		found, _ := filepath.Glob(filepath.Join(os.TempDir(), "hotplug-stage-*"))
		return found
	}
	if len(stages()) != 1 {
		t.Error(stages())
	}
	// What the terminal and a supervisor send to the whole group is left to the host.
	syscall.Kill(pid, syscall.SIGINT)
	syscall.Kill(pid, syscall.SIGTERM)
	command.Process.Kill()
	command.Wait()
	until(t, func() bool { return !alive(pid) || zombie(pid) })
	if text, _ := os.ReadFile(freed); string(text) != "freed\n" {
		t.Error("OnFree was not called")
	}
	// The next host clears up, and can have the socket.
	m := manager(t, hotplug.WithDir(dir), hotplug.WithAdmin(socket))
	load(t, m)
	if len(stages()) != 1 {
		t.Error(stages())
	}
}

// zombie tells whether a process is one that nobody has waited for, as under an init that does not.
func zombie(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Contains(string(text), ") Z ")
}

func TestAThousandReloadsOfAProcess(t *testing.T) {
	reloads := 1000
	if text := os.Getenv("HOTPLUG_TEST_RELOADS"); text != "" {
		reloads, _ = strconv.Atoi(text)
	}
	journal := newJournal()
	dir := withEcho(t, "0")
	m := manager(t, journal.events(), hotplug.WithDir(dir))
	load(t, m)
	// Each reload meets some calls.
	calls, failed := 0, 0
	called := make(chan bool)
	call := func() {
		for i := 0; i < 20; i++ {
			calls++
			if _, err := m.InvokeFunc("echo", "echo", calls); err != nil {
				failed++
				t.Error(err)
			}
		}
		called <- true
	}
	type taken struct{ heap, resident, files, goroutines int }
	measure := func() taken {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		files, _ := os.ReadDir("/proc/self/fd")
		return taken{int(stats.HeapAlloc), resident(), len(files), runtime.NumGoroutine()}
	}
	var early taken
	begun := time.Now()
	for i := 1; i <= reloads; i++ {
		rehash(t, dir, fmt.Sprint(i))
		go call()
		load(t, m)
		<-called
		journal.wait(t, fmt.Sprintf("freed echo %d-%d", i-1, i), 1)
		if i == reloads/10 {
			early = measure()
		}
	}
	took := time.Since(begun)
	late := measure()
	if grown := late.heap - early.heap; grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if grown := late.resident - early.resident; grown > 32<<20 {
		t.Errorf("the process has grown by %d bytes", grown)
	}
	if late.files > early.files+8 || late.goroutines > early.goroutines+8 {
		t.Errorf("from %+v to %+v", early, late)
	}
	if manifest := m.Manifest(); len(manifest.Plugins) != 1 {
		t.Errorf("%d versions are left", len(manifest.Plugins))
	}
	t.Logf("%d reloads in %v, %d calls, %d failed; after a tenth: %+v, in the end: %+v", reloads, took, calls, failed, early, late)
}

// resident is how much memory this process has; 0 where that cannot be read.
func resident() int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize()
}
