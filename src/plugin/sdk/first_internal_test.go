// What was loaded first stays.

package hotplug

import (
	"errors"
	"testing"
)

func TestAPackageThatWasLoadedOtherwiseIsRefused(t *testing.T) {
	var f firsts
	if err := f.admit(map[string]string{"m/util": "1", "m/store": "a"}); err != nil {
		t.Fatal(err)
	}
	if err := f.admit(map[string]string{"m/store": "a", "m/other": "x"}); err != nil {
		t.Fatal(err)
	}
	if err := f.admit(map[string]string{"m/util": "2"}); !errors.Is(err, ErrStale) {
		t.Fatalf("got %v", err)
	}
	if err := f.admit(nil); err != nil {
		t.Fatal(err)
	}
}
