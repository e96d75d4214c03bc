// One process of a plugin, seen from the host: started with a socket, watched, and ended with it.

//go:build unix

package hotplug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// grace is how long a process may take to end by itself.
const grace = 2*time.Second + lastWords

type child struct {
	command *exec.Cmd
	peer    *peer
	printed *tail
	// Whether it has come through OnInit.
	whole atomic.Bool
	// Closed when the process has ended; then err says how.
	exited chan struct{}
	err    error
}

func startChild(path string, output io.Writer, serve func(context.Context, request) (any, error)) (*child, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	c := &child{printed: &tail{to: output}, exited: make(chan struct{})}
	c.command = exec.Command(path)
	c.command.Env = append(os.Environ(), socketVariable+"=3")
	c.command.ExtraFiles = []*os.File{theirs}
	c.command.Stdout, c.command.Stderr = c.printed, c.printed
	// What the plugin has started may hold its output open.
	c.command.WaitDelay = time.Second
	if err := c.command.Start(); err != nil {
		conn.Close()
		if errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("cannot start its process: %w: set TMPDIR to a directory that programs can be run from", err)
		}
		return nil, fmt.Errorf("cannot start its process: %w", err)
	}
	c.peer = newPeer(conn, serve)
	go func() {
		c.err = c.command.Wait()
		// What it has still sent is read first; then its socket is at the end by itself, unless others have it too.
		select {
		case <-c.peer.done:
		case <-time.After(time.Second):
		}
		c.peer.close()
		close(c.exited)
	}()
	return c, nil
}

// socketPair makes two connected sockets which no other process inherits.
func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(pair[0]), "plugin"), os.NewFile(uintptr(pair[1]), "host"), nil
}

func (c *child) runs() bool {
	select {
	case <-c.peer.done:
		return false
	default:
		return true
	}
}

// crash is the error of those who needed the process, which has closed its connection.
func (c *child) crash() error {
	select {
	case <-c.exited:
	case <-time.After(grace):
		c.command.Process.Kill()
		<-c.exited
	}
	how := "it has ended"
	if c.err != nil {
		how = c.err.Error()
	}
	if printed := c.printed.last(); printed != "" {
		how += ": it printed last: " + printed
	}
	return fmt.Errorf("%w: %s", ErrCrashed, how)
}

// end ends the process: by itself, or by force.
func (c *child) end() {
	c.peer.close()
	select {
	case <-c.exited:
	case <-time.After(grace):
		c.command.Process.Kill()
		<-c.exited
	}
}

// tail passes on what is printed, and keeps the end of it.
type tail struct {
	mutex sync.Mutex
	to    io.Writer
	kept  []byte
}

// printedMost is how much of what a crashed process has printed belongs to the error.
const printedMost = 4 << 10

func (t *tail) Write(text []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.kept = append(t.kept, text...)
	if over := len(t.kept) - printedMost; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	if t.to != nil {
		// A host that cannot print does not stop its plugins.
		t.to.Write(text)
	}
	return len(text), nil
}

func (t *tail) last() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return strings.TrimSpace(string(t.kept))
}
