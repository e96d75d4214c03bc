// Factories of bundles.

package hotplug_test

import (
	"errors"
	"testing"

	"hotwatch.invalid/hotplug"
)

func TestFactoriesAreFoundByID(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	bundle := func(name, hash string, ids ...string) hotplug.Plugin {
		return journal.plugin(name, hash, func(p *hotplug.Plugin) {
			all := hotplug.Factories{}
			for _, id := range ids {
				all[id] = func(bus string) string { return name + hash + " on " + bus }
			}
			p.Export = func() any { return all }
		})
	}
	shelf.put(bundle("a", "1", "Mail", "sms"), bundle("b", "1", "fax"))
	load(t, m)
	mail, handle, err := hotplug.FactoryOf[func(string) string](m, "mail")
	if err != nil || mail("bus") != "a1 on bus" {
		t.Fatal(err)
	}
	shelf.put(bundle("a", "2", "mail"), bundle("b", "1", "fax"))
	load(t, m)
	if fresh, handle, err := hotplug.FactoryOf[func(string) string](m, "MAIL"); err != nil || fresh("bus") != "a2 on bus" {
		t.Error(err)
	} else {
		handle.Release()
	}
	if journal.count("a1 OnFree") != 0 || mail("bus") != "a1 on bus" {
		t.Error("freed while it is used")
	}
	handle.Release()
	journal.wait(t, "a1 OnFree", 1)
	if _, _, err := hotplug.FactoryOf[func(string) string](m, "sms"); !errors.Is(err, hotplug.ErrNoValue) {
		t.Error(err)
	}
	_, _, err = hotplug.FactoryOf[int](m, "fax")
	contains(t, err, "plugin `b`: `Export` failed", "factory `fax` is `func(string) string`, not `int`")
	shelf.put(bundle("a", "3", "FAX"), bundle("b", "1", "fax"))
	_, err = m.Reload()
	contains(t, err, "plugin `b`: `Export` failed: duplicate name: `fax` is a factory in `a` and in `b`")
	if ids := m.Manifest().Plugins[1].Factories; len(ids) != 1 || ids[0] != "fax" {
		t.Error(ids)
	}
}
