// A host that loads a directory and prints what comes of it.
package main

import (
	"context"
	"fmt"
	"os"

	"hotwatch.invalid/hotplug"
	_ "hotwatch.invalid/hotplug/so"
)

func main() {
	m, err := hotplug.New(hotplug.WithDir(os.Args[1]))
	if err == nil {
		defer m.Close(context.Background())
		_, err = m.Load(nil)
	}
	fmt.Println(err)
}
