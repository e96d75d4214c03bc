// How a host is written.

package hotplug_test

import (
	"context"
	"fmt"

	"hotwatch.invalid/hotplug"
)

func Example() {
	// Generated code fills in a Plugin; this one is linked.
	greeter := hotplug.Plugin{
		Metadata: hotplug.Metadata{Name: "greeter", Hash: "0a1b2c", Generation: 1, SDK: hotplug.SDKVersion},
		Functions: hotplug.Functions{
			OnLoad:     func(data any) error { return nil },
			OnInit:     func(vault *hotplug.Vault) error { return nil },
			OnFree:     func() { fmt.Println("free") },
			Export:     func() any { return nil },
			Import:     func() any { return nil },
			InvokeFunc: hotplug.Table{"greet": func(who string) string { return "hello, " + who }}.Invoke,
			Reloadable: func() bool { return true },
		},
	}
	plugins, err := hotplug.New(hotplug.WithPlugins(func() []hotplug.Plugin { return []hotplug.Plugin{greeter} }))
	if err != nil {
		fmt.Println(err)
		return
	}
	details, err := plugins.Load(nil)
	fmt.Println(details.Of("greeter"), err)
	fmt.Println(plugins.InvokeFunc("greeter", "greet", "Ada"))
	fmt.Println(plugins.Close(context.Background()))
	// Output:
	// loaded <nil>
	// hello, Ada <nil>
	// free
	// <nil>
}
