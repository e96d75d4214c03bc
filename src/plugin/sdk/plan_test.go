// The decisions of a reload, as tables.

package hotplug

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestWhatBecomesOfEachPlugin(t *testing.T) {
	active := []standing{{name: "Mail", hash: "a", file: "f1"}}
	for name, row := range map[string]struct {
		offers []offered
		want   map[string]Outcome
	}{
		"nothing there":            {nil, map[string]Outcome{"mail": Unloaded}},
		"same source":              {[]offered{{name: "mail", hash: "a"}}, map[string]Outcome{"mail": Unchanged}},
		"same source, other build": {[]offered{{name: "mail", hash: "a", file: "f2"}}, map[string]Outcome{"mail": Unchanged}},
		"built again":              {[]offered{{name: "mail", hash: "a", generation: 2}}, map[string]Outcome{"mail": Reloaded}},
		"other source, same build": {[]offered{{name: "mail", hash: "b", file: "f1"}}, map[string]Outcome{"mail": Reloaded}},
		"same file":                {[]offered{{name: "mail", file: "f1"}}, map[string]Outcome{"mail": Unchanged}},
		"other file":               {[]offered{{name: "mail", file: "f2"}}, map[string]Outcome{"mail": Reloaded}},
		"nothing known":            {[]offered{{name: "mail"}}, map[string]Outcome{"mail": Reloaded}},
		"another":                  {[]offered{{name: "mail", hash: "a"}, {name: "x"}}, map[string]Outcome{"mail": Unchanged, "x": Loaded}},
	} {
		got, err := sortOut(active, row.offers)
		if err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	_, err := sortOut(nil, []offered{{name: "mail", path: "a.so"}, {name: "MAIL"}})
	if !errors.Is(err, ErrDuplicate) || !strings.Contains(err.Error(), "`a.so` and `a linked plugin`") {
		t.Error(err)
	}
}

func names(of ...string) (needs []need) {
	for _, name := range of {
		needs = append(needs, need{Plugin: name})
	}
	return needs
}

func TestDependenciesGoFirst(t *testing.T) {
	for _, row := range []struct {
		needs map[string][]need
		want  string
	}{
		{nil, ""},
		{map[string][]need{"b": nil, "a": nil, "c": nil}, "a b c"},
		{map[string][]need{"a": names("C"), "b": names("a"), "c": nil}, "c a b"},
		{map[string][]need{"a": names("c", "b"), "b": names("d"), "c": names("d"), "d": nil}, "d b c a"},
		{map[string][]need{"a": names("a")}, "import cycle: a -> a"},
		{map[string][]need{"a": names("b"), "b": names("c"), "c": names("b")}, "import cycle: b -> c -> b"},
		{map[string][]need{"a": names("b")}, "plugin `a`: `Import` failed: no such plugin: it imports `b`"},
	} {
		sorted, err := order(row.needs)
		got := strings.Join(sorted, " ")
		if err != nil {
			got = err.Error()
		}
		if got != row.want && (err == nil || !strings.Contains(got, row.want)) {
			t.Errorf("%v: %s", row.needs, got)
		}
	}
}

func TestAnImporterIsRebuiltWithWhatItImports(t *testing.T) {
	value, caller := need{Plugin: "X", Type: "x.Reader"}, need{Plugin: "x", Type: "hotplug.Caller", Caller: true}
	for _, row := range []struct {
		need need
		x, y Outcome
		want string
	}{
		{value, Reloaded, Unchanged, "`X` was rebuilt while `y`, which uses it, was not"},
		{value, Reloaded, NotReloadable, "is not reloadable"},
		{value, Reloaded, Reloaded, ""},
		{value, Unchanged, Reloaded, ""},
		{value, Loaded, Loaded, ""},
		{caller, Reloaded, Unchanged, ""},
		{need{Plugin: "x"}, Reloaded, Unchanged, ""},
	} {
		err := stale(map[string][]need{"x": nil, "y": {row.need}}, map[string]Outcome{"x": row.x, "y": row.y})
		if row.want == "" && err != nil || row.want != "" && (!errors.Is(err, ErrStale) || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%+v: %v", row, err)
		}
	}
}

func TestALiveNameHasOneOwner(t *testing.T) {
	found, err := owners(map[string][]string{"a": {"live_A", "Live_B"}, "b": {"live_c"}}, "live", "vault")
	if err != nil || !reflect.DeepEqual(found, map[string]string{"live_a": "a", "live_b": "a", "live_c": "b"}) {
		t.Error(found, err)
	}
	_, err = owners(map[string][]string{"a": {"live_x"}, "b": {"LIVE_X"}}, "live", "vault")
	if !errors.Is(err, ErrDuplicate) || !strings.Contains(err.Error(), "is live in `a` and in `b`") {
		t.Error(err)
	}
}

func TestAProcessThatKeepsCrashingStaysDown(t *testing.T) {
	now := time.Now()
	var crashes []time.Time
	for i := 0; i < crashesMost; i++ {
		may, recent := mayRestart(crashes, now)
		if !may {
			t.Fatal("after", i)
		}
		crashes = append(recent, now)
	}
	if may, _ := mayRestart(crashes, now); may {
		t.Error("started again after all of them")
	}
	if may, recent := mayRestart(crashes, now.Add(crashesWithin)); !may || len(recent) != 0 {
		t.Error("old crashes count")
	}
}

func TestADirectoryIsReloadedOnceItHasSettled(t *testing.T) {
	for _, row := range []struct {
		acted, before, now string
		want               bool
	}{{"1", "1", "1", false}, {"1", "1", "2", false}, {"1", "2", "2", true}, {"1", "2", "3", false}, {"2", "2", "2", false}} {
		if decideWatch(row.acted, row.before, row.now) != row.want {
			t.Error(row)
		}
	}
}

type ring struct{ Next *ring }

type hidden struct {
	Shown  int
	hidden int
}

func TestWhatCanCross(t *testing.T) {
	one := 1
	self := &ring{}
	self.Next = self
	loop := map[string]any{}
	loop["it"] = loop
	twice := []*int{&one, &one}
	var deep any = 1
	for i := 0; i < 2000; i++ {
		deep = []any{deep}
	}
	for _, fine := range []any{nil, 1, "x", []byte{1}, []any{1, []any{"x"}}, time.Now(), Data{}, twice, &ring{Next: &ring{}}, map[string]any{"a": 1}} {
		if err := crosses(fine); err != nil {
			t.Errorf("%T: %v", fine, err)
		}
	}
	for _, row := range []struct {
		value any
		says  string
	}{
		{func() {}, "a `func()` belongs to its process"},
		{[]any{1, make(chan int)}, "element 1: a `chan int`"},
		{map[string]any{"k": func() {}}, "the value of `k`"},
		{struct{ F func() }{func() {}}, "its field `F`"},
		{hidden{1, 2}, "its field `hidden` would be lost"},
		{[]any{nil}, "element 0 is nil"},
		{self, "contains itself"},
		{loop, "contains itself"},
		{errors.New("x"), "would be lost"},
		{deep, "nested more than 1000 deep"},
	} {
		err := crosses(row.value)
		if !errors.Is(err, ErrCannotCross) || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%T: %v", row.value, err)
		}
	}
}

func TestWhatIsPlainData(t *testing.T) {
	type good struct {
		A []map[string]*good
		B time.Time
		C [3]int
	}
	if err := plain(reflect.TypeOf(good{})); err != nil {
		t.Error(err)
	}
	for _, bad := range []any{struct{ F func() }{}, struct{ A any }{}, hidden{}, struct{ C chan int }{}, struct{ M map[float64]int }{}, complex(1, 1)} {
		if plain(reflect.TypeOf(bad)) == nil {
			t.Errorf("%T is plain", bad)
		}
	}
}

func TestCallsByName(t *testing.T) {
	type local struct{ A int }
	packed, err := Pack(local{7})
	if err != nil {
		t.Fatal(err)
	}
	table := Table{
		"nothing": func() {},
		"sum": func(all ...int) (sum int) {
			for _, n := range all {
				sum += n
			}
			return sum
		},
		"data":  func(v local) int { return v.A },
		"error": func() error { return ErrVeto },
		"both":  func(err error) (int, error) { return 1, err },
		"three": func() (int, int, error) { return 1, 2, nil },
		"value": 3,
	}
	for _, row := range []struct {
		name   string
		params []any
		want   any
		err    string
	}{
		{"nothing", nil, nil, ""},
		{"sum", []any{1, 2, 3}, 6, ""},
		{"sum", nil, 0, ""},
		{"sum", []any{"x"}, nil, "parameter 1 of `sum` is `int`: it was given `string`"},
		{"data", []any{packed}, 7, ""},
		{"data", []any{nil}, nil, "it was given nil"},
		{"data", nil, nil, "was given 0 parameters"},
		{"both", []any{nil}, 1, ""},
		{"error", nil, nil, "vetoed"},
		{"three", nil, nil, "it may return"},
		{"value", nil, nil, "not a function"},
		{"gone", nil, nil, "no such function: `gone`: there are `both`, `data`"},
	} {
		got, err := table.Invoke(row.name, row.params...)
		if row.err == "" && (err != nil || got != row.want) || row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)) {
			t.Errorf("%s %v: %v, %v", row.name, row.params, got, err)
		}
	}
}
