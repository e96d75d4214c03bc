// The plugin of the tests that runs as a process of its own, with the main that is generated for one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"hotwatch.invalid/hotplug"
	"hotwatch.invalid/hotplug/testdata/jobs"
)

var (
	vault   *hotplug.Vault
	loaded  any
	blocked atomic.Int64
	// Whether OnInit is through.
	initialised atomic.Bool
	imports     struct{ Other hotplug.Caller }
	takes       struct{ Prices map[string]int }
)

// Live_Mail is a job.
type Live_Mail struct{ To string }

func live_send(mail Live_Mail) string { return "process sends to " + mail.To }

var live_table = map[string]int{"one": 1}

func OnLoad(data any) error {
	loaded = data
	switch data {
	case "refuse":
		return errors.New("refused as asked")
	case "hang":
		select {}
	case "die":
		os.Exit(4)
	}
	return nil
}

func OnInit(v *hotplug.Vault) error {
	vault = v
	switch loaded {
	case "panic":
		panic("as asked")
	case "slow":
		time.Sleep(100 * time.Millisecond)
		// It is reached by itself already.
		job, err := v.Pack(Live_Mail{To: "itself"})
		if err != nil {
			return err
		}
		if _, err := v.CallLive("live_send", job); err != nil {
			return err
		}
	}
	initialised.Store(true)
	return nil
}

func OnFree() {
	if path := os.Getenv("ECHO_FREED"); path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			fmt.Fprintln(file, "freed")
			file.Close()
		}
	}
}

func Export() any {
	switch os.Getenv("ECHO_EXPORT") {
	case "func":
		return func() {}
	case "data":
		return []string{"of", "a", "process"}
	}
	return nil
}

func Import() any {
	switch os.Getenv("ECHO_IMPORT") {
	case "caller":
		return &imports
	case "data":
		return &takes
	}
	return nil
}

func Reloadable() bool { return true }

func InvokeFunc(name string, params ...any) (any, error) { return functions.Invoke(name, params...) }

var functions = hotplug.Table{
	"echo":   func(value any) any { return value },
	"init":   func() bool { return initialised.Load() },
	"pid":    func() int { return os.Getpid() },
	"loaded": func() any { return loaded },
	"price":  func(name string) int { return takes.Prices[name] },
	"env":    func(name string) string { return os.Getenv(name) },
	"fail":   func() error { return errors.New("failed as asked") },
	"panic":  func() { panic("panicked as asked") },
	"exit": func() {
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(3)
	},
	"func":  func() any { return func() {} },
	"big":   func(size int) []byte { return make([]byte, size) },
	"count": func() int64 { return blocked.Load() },
	// Until the caller does not wait any more.
	"block": func(ctx context.Context) error {
		blocked.Add(1)
		defer blocked.Add(-1)
		<-ctx.Done()
		return ctx.Err()
	},
	"sleep": func(d time.Duration) { time.Sleep(d) },
	"numbers": func(to int) *hotplug.Stream {
		return hotplug.NewStream(func(ctx context.Context, send func(any) error) error {
			blocked.Add(1)
			defer blocked.Add(-1)
			for i := 0; i < to; i++ {
				if err := send(i); err != nil {
					return err
				}
			}
			if to == 13 {
				return errors.New("thirteen")
			}
			return nil
		})
	},
	"job": func(job jobs.Job) string { return fmt.Sprint(job.Name, len(job.Parts), *job.Parts[0].N, job.By) },
	"extension": func(name string) (any, error) {
		return vault.Extension(name)
	},
	"shout": func(text string) (any, error) { return vault.CallExtension("shout", text) },
	"hit": func() (int, error) {
		return hotplug.Update(vault.Bag(), "hits", func(old int, _ bool) int { return old + 1 })
	},
	"names": func() (string, error) {
		names, err := vault.Bag().Names()
		return strings.Join(names, " "), err
	},
	"wrong": func() error { return hotplug.Put(vault.Bag(), "hits", "text") },
	"live": func(name string, params ...any) (any, error) {
		return vault.CallLive(name, params...)
	},
	"other": func(name string, params ...any) (any, error) {
		return imports.Other.InvokeFunc(name, append([]any{context.Background()}, params...)...)
	},
}

func main() {
	jobs.Register()
	hotplug.Serve(hotplug.Plugin{
		Metadata: hotplug.Metadata{Name: "echo", Hash: "echo", SDK: hotplug.SDKVersion},
		Functions: hotplug.Functions{
			OnLoad: OnLoad, OnInit: OnInit, OnFree: OnFree, Export: Export, Import: Import, InvokeFunc: InvokeFunc,
			Reloadable: Reloadable,
		},
		LiveFuncs: map[string]any{"live_send": live_send},
		LiveTypes: map[string]any{"Live_Mail": Live_Mail{}},
		LiveData:  map[string]any{"live_table": &live_table},
	})
}
