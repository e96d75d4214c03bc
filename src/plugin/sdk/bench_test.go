// What a call costs.

//go:build unix

package hotplug_test

import (
	"testing"

	"hotwatch.invalid/hotplug"
)

func BenchmarkCall(b *testing.B) {
	m := manager(b, hotplug.WithPlugins(func() []hotplug.Plugin { return []hotplug.Plugin{newJournal().plugin("a", "1")} }))
	if _, err := m.Load(nil); err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := m.InvokeFunc("a", "version"); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkCallOfAProcess(b *testing.B) {
	m := manager(b, hotplug.WithDir(withEcho(b, "1")))
	if _, err := m.Load(nil); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if _, err := m.InvokeFunc("echo", "echo", i); err != nil {
			b.Error(err)
		}
	}
}
