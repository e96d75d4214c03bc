// The vault: extensions, the data bag, and what is live, with linked plugins.

package hotplug_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"hotwatch.invalid/hotplug"
)

// keeps has a plugin hand out its vault.
func keeps(into **hotplug.Vault) func(*hotplug.Plugin) {
	return func(p *hotplug.Plugin) {
		p.OnInit = func(vault *hotplug.Vault) error { *into = vault; return nil }
	}
}

func TestJobsOfOneVersionAreFinishedByTheNext(t *testing.T) {
	// The same names with other types, as the versions of a plugin have them.
	first := func(p *hotplug.Plugin) {
		type Live_Mail struct{ To string }
		p.LiveTypes = map[string]any{"Live_Mail": Live_Mail{}}
		p.LiveFuncs = map[string]any{"live_send": func(mail Live_Mail) string { return "1 to " + mail.To }}
		p.LiveData = map[string]any{"live_price": &[]int{1}}
		p.Functions.InvokeFunc = hotplug.Table{"job": func(to string) (hotplug.Data, error) { return hotplug.Pack(Live_Mail{to}) }}.Invoke
	}
	second := func(p *hotplug.Plugin) {
		type Live_Mail struct {
			To   string
			From string
		}
		p.LiveTypes = map[string]any{"Live_Mail": Live_Mail{}}
		p.LiveFuncs = map[string]any{"LIVE_send": func(mail *Live_Mail) string { return "2 to " + mail.To + " from " + mail.From + "." }}
		p.LiveData = map[string]any{"live_price": &[]int{2}}
	}
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	var old *hotplug.Vault
	shelf.put(journal.plugin("mail", "1", first, keeps(&old)))
	load(t, m)
	queue := make(chan hotplug.Data, 100)
	for i := 0; i < cap(queue); i++ {
		queue <- answer(t, m, "mail", "job", "ada").(hotplug.Data)
	}
	close(queue)
	finish := func(jobs int, want string) {
		for ; jobs > 0; jobs-- {
			got, err := old.CallLive("Live_Send", <-queue)
			if err != nil || got != want {
				t.Fatal(got, err)
			}
		}
	}
	finish(50, "1 to ada")
	shelf.put(journal.plugin("mail", "2", second))
	load(t, m)
	finish(50, "2 to ada from .")

	job, err := m.Vault().Pack(struct{ To string }{"bob"})
	if err != nil {
		t.Fatal(err)
	}
	job.Type = "Live_Mail"
	fresh, err := old.Open(job)
	if err != nil || !strings.Contains(answerText(fresh), "bob") {
		t.Error(fresh, err)
	}
	price, err := old.LiveData("live_price")
	var is []int
	if err != nil || price.Unpack(&is) != nil || is[0] != 2 {
		t.Error(price, err)
	}
	for _, row := range []struct {
		call func() error
		is   error
		says string
	}{
		{func() error { _, err := old.CallLive("live_gone"); return err }, hotplug.ErrNoValue, "nothing live is called `live_gone`"},
		{func() error { _, err := old.CallLive("live_send"); return err }, hotplug.ErrSignature, "was given 0 parameters"},
		{func() error { _, err := old.CallLive("live_send", 3); return err }, hotplug.ErrSignature, "it was given `int`"},
		{func() error { _, err := old.CallLive("live_mail"); return err }, hotplug.ErrNoFunction, "is no live function"},
		{func() error { _, err := old.NewLive("live_send"); return err }, hotplug.ErrNoValue, "it is no live type"},
		{func() error { _, err := old.Pack(func() {}); return err }, hotplug.ErrSignature, "is not plain data"},
	} {
		if err := row.call(); !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.says) {
			t.Error(err)
		}
	}
}

func answerText(value any) string {
	data, err := hotplug.Pack(value)
	if err != nil {
		return err.Error()
	}
	return string(data.Value)
}

func TestAVaultSeesItsOwnVersionsBeforeTheyAreActive(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	version := func(hash string, fails bool) hotplug.Plugin {
		return journal.plugin("a", hash, func(p *hotplug.Plugin) {
			p.LiveFuncs = map[string]any{"live_version": func() string { return hash }}
			p.OnInit = func(vault *hotplug.Vault) error {
				got, err := vault.CallLive("live_version")
				if err != nil || got != hash {
					t.Error(got, err)
				}
				if got, err := m.Vault().CallLive("live_version"); hash != "1" && got != "1" {
					t.Error("the host sees", got, err)
				}
				if fails {
					return io.EOF
				}
				return nil
			}
		})
	}
	shelf.put(version("1", false))
	load(t, m)
	shelf.put(version("2", true))
	if _, err := m.Reload(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	shelf.put(version("3", false))
	load(t, m)
}

func TestExtensions(t *testing.T) {
	var vault *hotplug.Vault
	m := manager(t, hotplug.WithExtension("name", "host"), hotplug.WithExtension("double", func(n int) int { return 2 * n }),
		hotplug.WithPlugins(func() []hotplug.Plugin { return []hotplug.Plugin{newJournal().plugin("a", "1", keeps(&vault))} }))
	load(t, m)
	if got, err := hotplug.ExtensionOf[string](vault, "name"); got != "host" || err != nil {
		t.Error(got, err)
	}
	if _, err := hotplug.ExtensionOf[int](vault, "name"); !errors.Is(err, hotplug.ErrSignature) {
		t.Error(err)
	}
	if got, err := vault.CallExtension("double", 4); got != 8 || err != nil {
		t.Error(got, err)
	}
	_, err := vault.Extension("gone")
	contains(t, err, "the host has no extension `gone`")
	if _, err := vault.CallExtension("name"); !errors.Is(err, hotplug.ErrSignature) {
		t.Error(err)
	}
}

func TestTheDataBagIsTyped(t *testing.T) {
	bag := manager(t).Vault().Bag()
	if _, err := hotplug.Get[int](bag, "n"); !errors.Is(err, hotplug.ErrNoValue) {
		t.Error(err)
	}
	if err := hotplug.Put(bag, "n", 1); err != nil {
		t.Error(err)
	}
	contains(t, hotplug.Put(bag, "n", "x"), "`n` in the data bag is `int`, not `string`")
	if _, err := hotplug.Get[string](bag, "n"); !errors.Is(err, hotplug.ErrSignature) {
		t.Error(err)
	}
	var none sync.WaitGroup
	for i := 0; i < 8; i++ {
		none.Add(1)
		go func() {
			defer none.Done()
			for i := 0; i < 100; i++ {
				if _, err := hotplug.Update(bag, "n", func(old int, _ bool) int { return old + 1 }); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	none.Wait()
	if n, err := hotplug.Get[int](bag, "n"); n != 801 || err != nil {
		t.Error(n, err)
	}
	if err := hotplug.Put[error](bag, "e", nil); err != nil {
		t.Error(err)
	}
	if got, err := hotplug.Get[error](bag, "e"); got != nil || err != nil {
		t.Error(got, err)
	}
	if err := bag.Delete("n"); err != nil {
		t.Error(err)
	}
	if names, _ := bag.Names(); len(names) != 1 || names[0] != "e" {
		t.Error(names)
	}
	if err := hotplug.Put(bag, "n", "x"); err != nil {
		t.Error(err)
	}
}

func TestCodeInTheDataBagKeepsItsVersion(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	var vault *hotplug.Vault
	shelf.put(journal.plugin("a", "1", keeps(&vault)))
	load(t, m)
	if err := hotplug.Put(vault.Bag(), "code", func() string { return "one" }); err != nil {
		t.Fatal(err)
	}
	if err := hotplug.Put(vault.Bag(), "data", []int{1}); err != nil {
		t.Fatal(err)
	}
	one := vault
	shelf.put(journal.plugin("a", "2", keeps(&vault)))
	load(t, m)
	// It is replaced, and `code` is in use.
	if entries := m.Manifest().Plugins; len(entries) != 2 || entries[1].Active || entries[1].Users != 1 || journal.count("a1 OnFree") != 0 {
		t.Error(entries)
	}
	got, err := hotplug.Get[func() string](m.Vault().Bag(), "code")
	if err != nil || got() != "one" {
		t.Error(err)
	}
	if err := hotplug.Put(vault.Bag(), "code", func() string { return "two" }); err != nil {
		t.Fatal(err)
	}
	journal.wait(t, "a1 OnFree", 1)
	if err := hotplug.Put(one.Bag(), "code", func() string { return "late" }); !errors.Is(err, hotplug.ErrNoPlugin) {
		t.Error("a version that was freed puts code:", err)
	}
}

func TestAFailedReloadTakesBackWhatItPut(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	shelf.put(journal.plugin("a", "1", func(p *hotplug.Plugin) {
		p.OnInit = func(vault *hotplug.Vault) error {
			return hotplug.Put(vault.Bag(), "code", func() string { return "one" })
		}
	}))
	load(t, m)
	bag := m.Vault().Bag()
	hotplug.Put(bag, "stays", 1)
	shelf.put(journal.plugin("a", "2", func(p *hotplug.Plugin) {
		p.OnInit = func(vault *hotplug.Vault) error {
			hotplug.Put(vault.Bag(), "code", func() string { return "half" })
			hotplug.Put(vault.Bag(), "code", func() string { return "two" })
			hotplug.Put(vault.Bag(), "new", func() {})
			vault.Bag().Delete("stays")
			return io.EOF
		}
	}))
	if _, err := m.Reload(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	journal.wait(t, "a2 OnFree", 1)
	code, err := hotplug.Get[func() string](bag, "code")
	if names, _ := bag.Names(); strings.Join(names, " ") != "code stays" || err != nil || code() != "one" {
		t.Error(names, err)
	}
	if journal.count("a1 OnFree") != 0 {
		t.Error("the old version is gone")
	}
}

func TestAStreamKeepsItsVersion(t *testing.T) {
	journal, shelf := newJournal(), &shelf{}
	m := manager(t, hotplug.WithPlugins(shelf.list))
	shelf.put(journal.plugin("a", "1", func(p *hotplug.Plugin) {
		p.Functions.InvokeFunc = hotplug.Table{"count": func() *hotplug.Stream {
			return hotplug.NewStream(func(_ context.Context, send func(any) error) error {
				for i := 0; ; i++ {
					if err := send(i); err != nil {
						return err
					}
				}
			})
		}}.Invoke
	}))
	load(t, m)
	stream := answer(t, m, "a", "count").(*hotplug.Stream)
	unread := answer(t, m, "a", "count").(*hotplug.Stream)
	shelf.put(journal.plugin("a", "2"))
	load(t, m)
	for i := 0; i < 1000; i++ {
		if got, err := stream.Next(context.Background()); got != i || err != nil {
			t.Fatal(got, err)
		}
	}
	stream.Close()
	if journal.count("a1 OnFree") != 0 {
		t.Error("freed while a stream is open")
	}
	unread.Close()
	unread.Close()
	journal.wait(t, "a1 OnFree", 1)
	if _, err := unread.Next(context.Background()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
