// Callers while plugins are replaced all the time: no call fails, and every version is freed exactly once.

package hotplug_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hotwatch.invalid/hotplug"
)

// duration is how long the tests under load take; HOTPLUG_TEST_DURATION sets another.
func duration(t *testing.T) time.Duration {
	if text := os.Getenv("HOTPLUG_TEST_DURATION"); text != "" {
		is, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	return 2 * time.Second
}

func TestNoCallFailsWhilePluginsAreReloaded(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, journal.events(), hotplug.WithPlugins(shelf.list))
	var freed, bad, calls atomic.Int64
	generation := func(n int) []hotplug.Plugin {
		hash := fmt.Sprint(n)
		var dead atomic.Bool
		base := newJournal().plugin("base", hash, func(p *hotplug.Plugin) {
			p.LiveFuncs = map[string]any{"live_base": func() string { return hash }}
			p.Export = func() any { return func() bool { return dead.Load() } }
			p.OnFree = func() { dead.Store(true); freed.Add(1) }
		})
		top := newJournal().plugin("top", hash, func(p *hotplug.Plugin) {
			needs := &struct{ Base func() bool }{}
			var gone atomic.Bool
			p.Import = func() any { return needs }
			p.OnFree = func() { gone.Store(true); freed.Add(1) }
			p.Functions.InvokeFunc = func(string, ...any) (any, error) {
				// Neither this version nor the one that it imports is freed under a call.
				if gone.Load() || needs.Base() {
					return nil, errors.New("freed")
				}
				return hash, nil
			}
		})
		return []hotplug.Plugin{top, base}
	}
	shelf.put(generation(0)...)
	load(t, m)
	end, stop := context.WithTimeout(context.Background(), duration(t))
	defer stop()
	var callers sync.WaitGroup
	for i := 0; i < 8; i++ {
		callers.Add(1)
		go func(i int) {
			defer callers.Done()
			for end.Err() == nil {
				var err error
				switch i % 4 {
				case 0, 1:
					_, err = m.InvokeFunc("top", "x")
				case 2:
					_, err = m.Vault().CallLive("live_base")
				case 3:
					for _, result := range m.InvokeEach("x") {
						if result.Err != nil {
							err = result.Err
						}
					}
				}
				calls.Add(1)
				if err != nil {
					bad.Add(1)
					t.Error(err)
				}
			}
		}(i)
	}
	reloads := 0
	for ; end.Err() == nil; reloads++ {
		shelf.put(generation(reloads + 1)...)
		if _, err := m.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	callers.Wait()
	closing, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.Close(closing); err != nil {
		t.Error(err)
	}
	if want := int64(2 * (reloads + 1)); freed.Load() != want {
		t.Errorf("%d versions were freed of %d", freed.Load(), want)
	}
	t.Logf("%d calls, %d failed, %d reloads of 2 plugins", calls.Load(), bad.Load(), reloads)
}

func TestACallEndsInTheVersionInWhichItBegan(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	begun, goOn := make(chan bool), make(chan bool)
	slow := func(p *hotplug.Plugin) {
		p.Functions.InvokeFunc = hotplug.Table{
			"slow":    func() string { begun <- true; <-goOn; return p.Hash },
			"version": func() string { return p.Hash },
		}.Invoke
	}
	shelf.put(journal.plugin("a", "1", slow))
	load(t, m)
	got := make(chan any)
	go func() {
		result, _ := m.InvokeFunc("a", "slow")
		got <- result
	}()
	<-begun
	shelf.put(journal.plugin("a", "2", slow))
	load(t, m)
	if is := answer(t, m, "a", "version"); is != "2" {
		t.Error("side by side:", is)
	}
	if journal.count("a1 OnFree") != 0 {
		t.Error("freed during a call")
	}
	goOn <- true
	if is := <-got; is != "1" {
		t.Error(is)
	}
	journal.wait(t, "a1 OnFree", 1)

	// A call that nobody waits for keeps its version, too.
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-begun; cancel() }()
	if _, err := m.InvokeFuncContext(ctx, "a", "slow"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	shelf.put(journal.plugin("a", "3", slow))
	load(t, m)
	short, done := context.WithCancel(context.Background())
	done()
	err := m.Close(short)
	contains(t, err, "still in use", "`a` 2-1")
	goOn <- true
	journal.wait(t, "a2 OnFree", 1)
	if _, err := m.Load(nil); err != hotplug.ErrClosed {
		t.Error(err)
	}
}

func TestAPanicIsAnErrorOfTheCall(t *testing.T) {
	m := manager(t, hotplug.WithPlugins(func() []hotplug.Plugin {
		return []hotplug.Plugin{newJournal().plugin("a", "1", func(p *hotplug.Plugin) {
			p.Functions.InvokeFunc = func(string, ...any) (any, error) { panic("boom") }
		})}
	}))
	load(t, m)
	_, err := m.InvokeFunc("a", "x")
	var of *hotplug.Error
	if !errors.As(err, &of) || !errors.Is(err, hotplug.ErrPanic) || len(of.Stack) == 0 || err.Error() != "plugin `a`: `x` failed: panic: boom" {
		t.Error(err)
	}
	if _, err := m.InvokeFunc("b", "x"); !errors.Is(err, hotplug.ErrNoPlugin) {
		t.Error(err)
	}
}

func TestAThousandReloads(t *testing.T) {
	shelf := &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	freed := atomic.Int64{}
	for i := 0; i < 1000; i++ {
		shelf.put(newJournal().plugin("a", fmt.Sprint(i), func(p *hotplug.Plugin) { p.OnFree = func() { freed.Add(1) } }))
		load(t, m)
	}
	until(t, func() bool { return len(m.Manifest().Plugins) == 1 })
	if freed.Load() != 999 {
		t.Errorf("OnFree was called %d times", freed.Load())
	}
}
