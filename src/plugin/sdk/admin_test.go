// The admin socket, asked as hotwatch asks it.

//go:build unix

package hotplug_test

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotwatch.invalid/hotplug"
)

// short is a directory whose path leaves room for a socket's.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestTheAdminSocket(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", short(t))
	journal, shelf := newJournal(), &shelf{}
	shelf.put(journal.plugin("a", "1"), journal.plugin("b", "1", imports("a")))
	// A socket that a host has left behind.
	dir := filepath.Dir(hotplug.AdminPath())
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	left, err := net.Listen("unix", filepath.Join(dir, "1.sock"))
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	m := manager(t, hotplug.WithPlugins(shelf.list), hotplug.WithAdmin(""))
	load(t, m)
	if _, err := os.Lstat(filepath.Join(dir, "1.sock")); err == nil {
		t.Error("the old socket is still there")
	}
	info, err := os.Stat(hotplug.AdminPath())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	conn, err := net.Dial("unix", hotplug.AdminPath())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	ask := func(request string) string {
		t.Helper()
		if _, err := conn.Write([]byte(request + "\n")); err != nil {
			t.Fatal(err)
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(line, "\n")
	}
	same := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s\nis not\n%s", got, want)
		}
	}
	same(ask(`{"do":"list"}`), `{"ok":true,"plugins":[{"name":"a","version":"1-1","form":"linked"},{"name":"b","version":"1-1","form":"linked"}]}`)
	var manifest struct {
		OK       bool
		Manifest hotplug.Manifest
	}
	if err := json.Unmarshal([]byte(ask(`{"do":"manifest"}`)), &manifest); err != nil || !manifest.OK {
		t.Error(err)
	}
	if is := manifest.Manifest; is.PID != os.Getpid() || len(is.Plugins) != 2 || is.Plugins[1].Imports[0] != "a" || !is.Plugins[0].Active || is.Plugins[0].Users != 1 {
		t.Errorf("%+v", is)
	}
	shelf.put(journal.plugin("a", "2"), journal.plugin("b", "1", imports("a")))
	got := ask(`{"do":"reload"}`)
	same(got[:strings.Index(got, `],"ms"`)], `{"ok":true,"details":{"plugins":[{"name":"a","outcome":"reloaded","version":"2-1","previous":"1-1"},{"name":"b","outcome":"unchanged","version":"1-1"}`)
	shelf.put(journal.plugin("a", "3", func(p *hotplug.Plugin) { p.OnInit = func(*hotplug.Vault) error { panic("x") } }), journal.plugin("b", "1"))
	same(ask(`{"do":"reload"}`), "{\"ok\":false,\"error\":\"plugin `a`: `OnInit` failed: panic: x\",\"plugin\":\"a\",\"step\":\"OnInit\"}")
	same(ask(`{"do":"unload","plugins":["a"]}`), "{\"ok\":false,\"error\":\"plugin `a`: `unload` failed: `b` imports it: unload `b` first\",\"plugin\":\"a\",\"step\":\"unload\"}")
	if got := ask(`{"do":"unload","plugins":["b","a"]}`); !strings.Contains(got, `"outcome":"unloaded","previous":"2-1"`) {
		t.Error(got)
	}
	if got := ask(`{"do":"dance"}`); !strings.Contains(got, "there is no `dance`") {
		t.Error(got)
	}
	if got := ask(`what`); !strings.Contains(got, "a request is a line like") {
		t.Error(got)
	}
}

func TestAnAdminSocketThatOthersCouldReachIsRefused(t *testing.T) {
	dir := short(t)
	_, err := hotplug.New(hotplug.WithAdmin(filepath.Join(dir, strings.Repeat("x", 100))))
	contains(t, err, "name a shorter one")
	os.Chmod(dir, 0o755)
	_, err = hotplug.New(hotplug.WithAdmin(filepath.Join(dir, "x.sock")))
	contains(t, err, "nobody else can enter: run `chmod 700` on it")
	target := filepath.Join(dir, "target")
	os.Mkdir(target, 0o700)
	os.Symlink(target, filepath.Join(dir, "link"))
	_, err = hotplug.New(hotplug.WithAdmin(filepath.Join(dir, "link", "x.sock")))
	contains(t, err, "nobody else can enter")
}
