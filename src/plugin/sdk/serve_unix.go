// A plugin in a process of its own, seen from there: it answers the host over the socket that it was started with, and
// ends when that does.

//go:build unix

package hotplug

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// socketVariable names the descriptor of the socket to a plugin's process.
const socketVariable = "HOTPLUG_SOCKET"

// lastWords is how long OnFree may take when the host is gone.
const lastWords = 5 * time.Second

// Serve runs a plugin as a process of its own, and does not return. It is all that the generated main of such a plugin
// does. The process ends with its host. Interrupts are left to the host, which shares the terminal.
func Serve(plugin Plugin) {
	if err := serve(plugin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

func serve(plugin Plugin) error {
	number, err := strconv.Atoi(os.Getenv(socketVariable))
	if err != nil {
		return fmt.Errorf("this is plugin `%s`, version %s: a host starts it, from the directory of `hotplug.WithDir`", plugin.Name, plugin.Version())
	}
	os.Unsetenv(socketVariable)
	syscall.CloseOnExec(number)
	file := os.NewFile(uintptr(number), "host")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return fmt.Errorf("cannot speak to the host: %w", err)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code, refused := newLocal(plugin)
	var begun atomic.Bool
	ready := make(chan remote, 1)
	desk := func() remote { desk := <-ready; ready <- desk; return desk }
	peer := newPeer(conn, func(ctx context.Context, r request) (any, error) {
		if refused != nil {
			return nil, refused
		}
		// Whoever frees it does so alone, however long that takes.
		if r.method == doFree && !begun.CompareAndSwap(true, false) {
			return nil, nil
		}
		result, err := servePlugin(ctx, code, desk(), r)
		if r.method == doLoad && err == nil {
			begun.Store(true)
		}
		return result, err
	})
	ready <- remote{peer}
	<-peer.done
	if begun.CompareAndSwap(true, false) {
		// The host is gone without having freed it.
		freed := make(chan struct{})
		go func() { code.onFree(); close(freed) }()
		select {
		case <-freed:
		case <-time.After(lastWords):
		}
	}
	return nil
}
