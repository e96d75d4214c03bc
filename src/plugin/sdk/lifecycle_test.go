// Load, reload and unload with linked plugins: the order of the steps, what stays when one fails, and who is called.

package hotplug_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hotwatch.invalid/hotplug"
)

func TestStepsComeInOrder(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	vetoes := 0
	m := manager(t, hotplug.WithPlugins(shelf.list), hotplug.WithVeto(func(fresh, old *hotplug.Snapshot) error {
		journal.add("veto")
		if vetoes++; vetoes == 1 && len(old.Names()) != 0 {
			t.Error("the first load replaces", old.Names())
		}
		for _, name := range fresh.Names() {
			if _, err := fresh.InvokeFunc(name, "version"); err != nil {
				t.Error(err)
			}
		}
		return nil
	}))
	shelf.put(journal.plugin("a", "1", imports("b")), journal.plugin("b", "1"))
	details := load(t, m)
	// The Import of `a` is one that writes nothing down.
	want := "a1 Export\nb1 Export\nb1 Import\nb1 OnLoad\na1 OnLoad\nb1 OnInit\na1 OnInit\nveto"
	if journal.text() != want {
		t.Errorf("first load:\n%s", journal.text())
	}
	if details.Of("a") != hotplug.Loaded || details.Of("b") != hotplug.Loaded {
		t.Error(details)
	}

	shelf.put(journal.plugin("a", "2", imports("b")), journal.plugin("b", "2"))
	details = load(t, m)
	journal.wait(t, "a1 OnFree", 1)
	journal.wait(t, "b1 OnFree", 1)
	want += "\nb1 Reloadable\na1 Reloadable\na2 Export\nb2 Export\nb2 Import\nb2 OnLoad\na2 OnLoad\nb2 OnInit\na2 OnInit\nveto\n"
	if !strings.HasPrefix(journal.text()+"\n", want) {
		t.Errorf("reload:\n%s", journal.text())
	}
	if details.Of("a") != hotplug.Reloaded || details.Plugins[0].Previous != "1-1" || details.Plugins[0].Version != "2-1" {
		t.Error(details)
	}
}

func TestDetailsSayWhatStayed(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	stays := func(p *hotplug.Plugin) { p.Reloadable = func() bool { return false } }
	shelf.put(journal.plugin("a", "1"), journal.plugin("b", "1", stays), journal.plugin("c", "1"))
	load(t, m)
	shelf.put(journal.plugin("a", "1"), journal.plugin("b", "2"), journal.plugin("d", "1"))
	details := load(t, m)
	got := ""
	for _, plugin := range details.Plugins {
		got += fmt.Sprintf("%s %s %s, ", plugin.Name, plugin.Outcome, plugin.Version)
	}
	if got != "a unchanged 1-1, b not reloadable 1-1, c unloaded , d loaded 1-1, " {
		t.Error(got)
	}
	if strings.Contains(journal.text(), "b2") {
		t.Error("a version that does not come was touched:\n" + journal.text())
	}
	journal.wait(t, "c1 OnFree", 1)
	if _, err := m.InvokeFunc("c", "version"); !errors.Is(err, hotplug.ErrNoPlugin) {
		t.Error(err)
	}
}

func TestFailuresKeepTheOldVersions(t *testing.T) {
	type change = func(*hotplug.Plugin)
	boom := errors.New("boom")
	live := func(name string, what any) change {
		return func(p *hotplug.Plugin) { p.LiveFuncs = map[string]any{name: what} }
	}
	for name, row := range map[string]struct {
		// How version 2 of `a` and `b` differ; `b` goes second.
		a, b change
		// What stands on the shelf besides.
		plus  []hotplug.Plugin
		veto  error
		is    error
		says  []string
		freed []string
	}{
		"OnLoad error": {
			b:  func(p *hotplug.Plugin) { p.OnLoad = func(any) error { return boom } },
			is: boom, says: []string{"plugin `b`: `OnLoad` failed: boom"}, freed: []string{"a2"},
		},
		"OnLoad panic": {
			b:  func(p *hotplug.Plugin) { p.OnLoad = func(any) error { panic(boom) } },
			is: boom, says: []string{"plugin `b`: `OnLoad` failed: panic: boom"}, freed: []string{"a2"},
		},
		"OnInit error": {
			b:  func(p *hotplug.Plugin) { p.OnInit = func(*hotplug.Vault) error { return boom } },
			is: boom, says: []string{"plugin `b`: `OnInit` failed: boom"}, freed: []string{"a2", "b2"},
		},
		"OnInit panic": {
			a: func(p *hotplug.Plugin) {
				p.OnInit = func(*hotplug.Vault) error {
					var none map[string]int
					none["x"] = 1
					return nil
				}
			},
			is: hotplug.ErrPanic, says: []string{"plugin `a`: `OnInit` failed: panic: assignment to entry in nil map"}, freed: []string{"a2", "b2"},
		},
		"Export panic": {
			a:  func(p *hotplug.Plugin) { p.Export = func() any { panic("x") } },
			is: hotplug.ErrPanic, says: []string{"plugin `a`: `Export` failed: panic: x"},
		},
		"Import panic": {
			a:  func(p *hotplug.Plugin) { p.Import = func() any { panic("x") } },
			is: hotplug.ErrPanic, says: []string{"plugin `a`: `Import` failed: panic: x"},
		},
		"Import of another kind": {
			a:  func(p *hotplug.Plugin) { p.Import = func() any { return 3 } },
			is: hotplug.ErrSignature, says: []string{"it returns `int`"},
		},
		"import of another type": {
			a: func(p *hotplug.Plugin) { p.Export = func() any { return 1 } },
			b: func(p *hotplug.Plugin) {
				p.Import = func() any { return &struct{ A string }{} }
			},
			is: hotplug.ErrSignature, says: []string{"plugin `b`: `Import`", "it imports `string` from `A`, which exports `int`"},
		},
		"import of nothing": {
			b:  func(p *hotplug.Plugin) { p.Import = func() any { return &struct{ A string }{} } },
			is: hotplug.ErrSignature, says: []string{"whose Export returns nil"},
		},
		"import of who is not there": {
			a: imports("z"), is: hotplug.ErrNoPlugin, says: []string{"it imports `z`, which is not there"},
		},
		"import cycle": {
			a: imports("b"), b: imports("a"), is: hotplug.ErrCycle, says: []string{"a -> b -> a"},
		},
		"missing hook": {
			a:  func(p *hotplug.Plugin) { p.OnFree, p.Reloadable = nil, nil },
			is: hotplug.ErrNoFunction, says: []string{"plugin `a`: `open`", "it lacks `OnFree`, `Reloadable`"},
		},
		"another SDK": {
			a: func(p *hotplug.Plugin) { p.SDK = 99 }, says: []string{"it was generated for version 99"},
		},
		"live function that is none": {
			a: live("live_x", 3), is: hotplug.ErrSignature, says: []string{"live `live_x`", "not a function"},
		},
		"live function with three results": {
			a: live("live_x", func() (int, int, int) { return 1, 2, 3 }), is: hotplug.ErrSignature, says: []string{"it may return"},
		},
		"live type that is not plain": {
			a: func(p *hotplug.Plugin) {
				p.LiveTypes = map[string]any{"live_T": struct{ Done chan int }{}}
			},
			is: hotplug.ErrSignature, says: []string{"its field `Done`"},
		},
		"two plugins with one live name": {
			a: live("live_x", func() {}), b: live("Live_X", func() {}),
			is: hotplug.ErrDuplicate, says: []string{"is live in `a` and in `b`"},
		},
		"two plugins with one name": {
			plus: []hotplug.Plugin{newJournal().plugin("A", "3")}, is: hotplug.ErrDuplicate, says: []string{"plugin `a`: `open`", "both are it"},
		},
		"veto": {
			veto: boom, is: hotplug.ErrVeto, says: []string{"`veto` failed: vetoed: boom"}, freed: []string{"a2", "b2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			journal, shelf := newJournal(), &shelf{}
			var veto error
			m := manager(t, journal.events(), hotplug.WithPlugins(shelf.list), hotplug.WithVeto(func(_, _ *hotplug.Snapshot) error { return veto }))
			shelf.put(journal.plugin("a", "1"), journal.plugin("b", "1"))
			load(t, m)
			same := func(*hotplug.Plugin) {}
			if row.a == nil {
				row.a = same
			}
			if row.b == nil {
				row.b = same
			}
			shelf.put(append(row.plus, journal.plugin("a", "2", row.a), journal.plugin("b", "2", row.b))...)
			veto = row.veto
			_, err := m.Load("data")
			contains(t, err, row.says...)
			if row.is != nil && !errors.Is(err, row.is) {
				t.Errorf("`%v` is not `%v`", err, row.is)
			}
			var of *hotplug.Error
			if !errors.As(err, &of) {
				t.Errorf("`%v` names no plugin and step", err)
			}
			for _, version := range row.freed {
				journal.wait(t, version+" OnFree", 1)
			}
			for _, plugin := range []string{"a", "b"} {
				if version := answer(t, m, plugin, "version"); version != "1" {
					t.Errorf("`%s` is at %s", plugin, version)
				}
			}
			// What is right again is loaded.
			veto = nil
			shelf.put(journal.plugin("a", "3"), journal.plugin("b", "3"))
			load(t, m)
			journal.wait(t, "a1 OnFree", 1)
			journal.wait(t, "b1 OnFree", 1)
			if answer(t, m, "a", "version") != "3" {
				t.Error("not reloaded")
			}
			for _, version := range []string{"a2", "b2"} {
				times := 0
				for _, freed := range row.freed {
					if freed == version {
						times = 1
					}
				}
				if journal.count(version+" OnFree") != times {
					t.Errorf("%s was freed %d times, expected %d", version, journal.count(version+" OnFree"), times)
				}
			}
		})
	}
}

func TestARebuiltImportNeedsItsImporter(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	exports := func(text string) func(*hotplug.Plugin) {
		return func(p *hotplug.Plugin) { p.Export = func() any { return func() string { return text } } }
	}
	by := func(p *hotplug.Plugin) {
		needs := &struct {
			Base func() string `plugin:"x"`
		}{}
		p.Import = func() any { return needs }
		p.Functions.InvokeFunc = hotplug.Table{"base": func() string { return needs.Base() }}.Invoke
	}
	shelf.put(journal.plugin("x", "1", exports("one")), journal.plugin("y", "1", by))
	load(t, m)
	if got := answer(t, m, "y", "base"); got != "one" {
		t.Error(got)
	}
	shelf.put(journal.plugin("x", "2", exports("two")), journal.plugin("y", "1", by))
	_, err := m.Load(nil)
	contains(t, err, "`x` was rebuilt while `y`, which uses it, was not")
	if got := answer(t, m, "y", "base"); got != "one" {
		t.Error(got)
	}
	// The old importer keeps the old export alive, and both go together.
	old, err := m.Acquire("y")
	if err != nil {
		t.Fatal(err)
	}
	shelf.put(journal.plugin("x", "3", exports("three")), journal.plugin("y", "3", by))
	load(t, m)
	if got := answer(t, m, "y", "base"); got != "three" {
		t.Error(got)
	}
	if got, err := old.InvokeFunc("base"); got != "one" {
		t.Error(got, err)
	}
	if journal.count("x1 OnFree")+journal.count("y1 OnFree") != 0 {
		t.Error("freed while it is used")
	}
	old.Release()
	old.Release()
	journal.wait(t, "x1 OnFree", 1)
	if got := strings.Index(journal.text(), "y1 OnFree"); got < 0 || got > strings.Index(journal.text(), "x1 OnFree") {
		t.Error("freed in the wrong order:\n" + journal.text())
	}
	if _, err := m.Unload("x"); err == nil || !strings.Contains(err.Error(), "`y` imports it") {
		t.Error(err)
	}
	details, err := m.Unload("y", "x")
	if err != nil || details.Of("x") != hotplug.Unloaded {
		t.Error(details, err)
	}
	journal.wait(t, "x3 OnFree", 1)
}

func TestACallerReachesTheNewestVersion(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	needs := &struct{ X hotplug.Caller }{}
	by := func(p *hotplug.Plugin) {
		p.Import = func() any { return needs }
		p.OnLoad = func(any) error {
			_, err := needs.X.InvokeFunc("version")
			return err
		}
		p.Functions.InvokeFunc = func(name string, params ...any) (any, error) { return needs.X.InvokeFunc(name, params...) }
	}
	shelf.put(journal.plugin("x", "1"), journal.plugin("a", "1", by))
	load(t, m)
	shelf.put(journal.plugin("x", "2"), journal.plugin("a", "1", by))
	if details := load(t, m); details.Of("a") != hotplug.Unchanged || !strings.HasPrefix(details.String(), "a: unchanged, x: reloaded (") {
		t.Error(details)
	}
	if got := answer(t, m, "a", "version"); got != "2" {
		t.Error(got)
	}
	if _, err := m.Unload("x"); err == nil {
		t.Error("what is imported was unloaded")
	}
	shelf.put(journal.plugin("a", "2", by))
	_, err := m.Reload()
	contains(t, err, "it imports `X`, which is not there")
}

func TestEachPluginIsCalledInOrder(t *testing.T) {
	journal := newJournal()
	none := func(p *hotplug.Plugin) { p.Functions.InvokeFunc = hotplug.Table{}.Invoke }
	m := manager(t, hotplug.WithPlugins(func() []hotplug.Plugin {
		return []hotplug.Plugin{journal.plugin("a", "1", imports("c")), journal.plugin("b", "1", none), journal.plugin("c", "1")}
	}))
	load(t, m)
	list := func(results []hotplug.Result) (got string) {
		for _, result := range results {
			got += fmt.Sprint(result.Plugin, result.Value, result.Err, " ")
		}
		return got
	}
	if got := list(m.InvokeEach("version")); got != "c1<nil> a1<nil> " {
		t.Error(got)
	}
	if got := list(m.InvokeEachBackward("version")); got != "a1<nil> c1<nil> " {
		t.Error(got)
	}
}

func TestOnlyWhatWasAskedForIsLoaded(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list), hotplug.WithOnly("B"))
	shelf.put(journal.plugin("a", "1"), journal.plugin("b", "1"))
	if details := load(t, m); len(details.Plugins) != 1 || details.Of("b") != hotplug.Loaded {
		t.Error(details)
	}
	shelf.put(journal.plugin("a", "1"))
	_, err := m.Reload()
	contains(t, err, "plugin `b`", "WithOnly")
}

func TestRegisteredPluginsAreLinked(t *testing.T) {
	if len(hotplug.Registered()) == 0 {
		hotplug.Register(newJournal().plugin("linked", "1"))
	}
	m := manager(t, hotplug.WithPlugins(hotplug.Registered))
	load(t, m)
	manifest := m.Manifest()
	if len(manifest.Plugins) != 1 || manifest.Plugins[0].Form != hotplug.Linked || manifest.Plugins[0].Version != "1-1" {
		t.Error(manifest)
	}
}
