// The admin socket: a unix socket that only this user can reach, on which a line of JSON is answered by a line of JSON.
// What is spoken there is documented with the package.

//go:build unix

package hotplug

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

type admin struct {
	manager  *Manager
	listener net.Listener
	done     sync.WaitGroup
	mutex    sync.Mutex
	conns    map[net.Conn]bool
	closed   bool
}

// AdminPath is where the admin socket of this process is unless [WithAdmin] names another place:
// `$XDG_RUNTIME_DIR/hotplug/<pid>.sock`, or `hotplug-<uid>/<pid>.sock` in the directory of temporary files.
func AdminPath() string {
	dir := filepath.Join(os.TempDir(), "hotplug-"+strconv.Itoa(os.Getuid()))
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
		dir = filepath.Join(runtime, "hotplug")
	}
	return filepath.Join(dir, strconv.Itoa(os.Getpid())+".sock")
}

// longestPath is that of a socket on macOS; Linux has a few bytes more.
const longestPath = 103

func openAdmin(m *Manager, path string) (*admin, error) {
	if path == "" {
		path = AdminPath()
	}
	if len(path) > longestPath {
		return nil, fmt.Errorf("cannot open the admin socket: `%s` is longer than the %d bytes that a socket's path may have: name a shorter one", path, longestPath)
	}
	dir := filepath.Dir(path)
	if err := private(dir); err != nil {
		return nil, fmt.Errorf("cannot open the admin socket: %w", err)
	}
	leftOver(dir)
	if answers(path) {
		return nil, fmt.Errorf("cannot open the admin socket: another host has `%s`: give this one another path", path)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the admin socket: %w", err)
	}
	// Nobody else could come in before either: the directory is private.
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("cannot open the admin socket: %w", err)
	}
	a := &admin{manager: m, listener: listener, conns: map[net.Conn]bool{}}
	a.done.Add(1)
	go a.accept()
	return a, nil
}

// private makes a directory that only this user can enter, or sees that it is one.
func private(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || stat == nil || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("`%s` has to be a directory of this user that nobody else can enter: run `chmod 700` on it, or name another", dir)
	}
	return nil
}

// leftOver removes the sockets of hosts that are gone.
func leftOver(dir string) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*.sock"))
	for _, path := range paths {
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			answers(path)
		}
	}
}

// answers tells whether somebody listens on a socket, and removes one on which nobody does.
func answers(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return true
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
		return false
	}
	return !errors.Is(err, fs.ErrNotExist)
}

func (a *admin) accept() {
	defer a.done.Done()
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			a.mutex.Lock()
			closed := a.closed
			a.mutex.Unlock()
			if closed || errors.Is(err, net.ErrClosed) {
				return
			}
			a.manager.tell(Event{What: "admin failed", Err: err})
			// Out of descriptors, mostly.
			time.Sleep(100 * time.Millisecond)
			continue
		}
		a.mutex.Lock()
		if a.closed {
			a.mutex.Unlock()
			conn.Close()
			return
		}
		a.conns[conn] = true
		a.done.Add(1)
		a.mutex.Unlock()
		go a.speak(conn)
	}
}

func (a *admin) close() {
	a.mutex.Lock()
	a.closed = true
	a.listener.Close()
	for conn := range a.conns {
		conn.Close()
	}
	a.mutex.Unlock()
	a.done.Wait()
}

func (a *admin) speak(conn net.Conn) {
	defer func() {
		conn.Close()
		a.mutex.Lock()
		delete(a.conns, conn)
		a.mutex.Unlock()
		a.done.Done()
	}()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		text, err := json.Marshal(answerAdmin(a.manager, lines.Bytes()))
		if err != nil {
			return
		}
		if _, err := conn.Write(append(text, '\n')); err != nil {
			return
		}
	}
}
