// Data that outlives versions, and what may be live at all.

package hotplug

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"time"
)

// Data is a value without its type's version, made by [Pack]: what one version has packed, another can unpack, after a
// crash or a restart too. It may be queued, stored and sent to other processes. Fields that the reader's type does not
// have are left out; those that the writer's did not have are zero.
type Data struct {
	// Type is the name of the type that it was packed from, without its package.
	Type string
	// Value is the value in JSON.
	Value json.RawMessage
}

// Pack makes data of a value, or of what a pointer points to. It has to be plain: without functions, channels,
// interfaces and unexported fields.
func Pack(value any) (Data, error) { return pack(value, "") }

func pack(value any, name string) (Data, error) {
	if value == nil {
		return Data{}, fmt.Errorf("%w: nil has no type: pack a value", ErrSignature)
	}
	is := reflect.TypeOf(value)
	for is.Kind() == reflect.Pointer {
		is = is.Elem()
	}
	if err := plain(is); err != nil {
		return Data{}, fmt.Errorf("%w: `%v` is not plain data: %w", ErrSignature, is, err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return Data{}, err
	}
	if name == "" {
		name = is.Name()
	}
	return Data{Type: name, Value: text}, nil
}

// Unpack writes the value to what `into` points to.
func (d Data) Unpack(into any) error {
	if err := json.Unmarshal(d.Value, into); err != nil {
		return fmt.Errorf("data of `%s` does not fit `%T`: %w", d.Type, into, err)
	}
	return nil
}

// plain tells what keeps values of a type from being plain data.
func plain(is reflect.Type) error { return plainBelow(is, map[reflect.Type]bool{}) }

var (
	marshalers = []reflect.Type{
		reflect.TypeOf((*json.Marshaler)(nil)).Elem(), reflect.TypeOf((*json.Unmarshaler)(nil)).Elem(),
	}
)

func plainBelow(is reflect.Type, seen map[reflect.Type]bool) error {
	if seen[is] {
		return nil
	}
	seen[is] = true
	if is.Implements(marshalers[0]) && reflect.PointerTo(is).Implements(marshalers[1]) {
		return nil
	}
	switch is.Kind() {
	case reflect.Func, reflect.Chan, reflect.Interface, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("`%v` is none", is)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return plainBelow(is.Elem(), seen)
	case reflect.Map:
		switch is.Key().Kind() {
		case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			return plainBelow(is.Elem(), seen)
		}
		return fmt.Errorf("a map by `%v` is none: use strings or integers", is.Key())
	case reflect.Struct:
		for i := 0; i < is.NumField(); i++ {
			field := is.Field(i)
			if !field.IsExported() {
				return fmt.Errorf("its field `%s` would be lost: begin it with a capital letter", field.Name)
			}
			if err := plainBelow(field.Type, seen); err != nil {
				return fmt.Errorf("its field `%s`: %w", field.Name, err)
			}
		}
	}
	return nil
}

// inert tells whether values of a type can be used without running code of the version that made them.
func inert(is reflect.Type) bool { return inertBelow(is, map[reflect.Type]bool{}) }

func inertBelow(is reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[is] || is == reflect.TypeOf(time.Time{}) || is == reflect.TypeOf(time.Duration(0)) || is == dataType {
		return true
	}
	seen[is] = true
	if is.NumMethod() > 0 || is.Kind() != reflect.Pointer && reflect.PointerTo(is).NumMethod() > 0 {
		return false
	}
	switch is.Kind() {
	case reflect.Func, reflect.Chan, reflect.Interface, reflect.UnsafePointer:
		return false
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return inertBelow(is.Elem(), seen)
	case reflect.Map:
		return inertBelow(is.Key(), seen) && inertBelow(is.Elem(), seen)
	case reflect.Struct:
		for i := 0; i < is.NumField(); i++ {
			if !inertBelow(is.Field(i).Type, seen) {
				return false
			}
		}
	}
	return true
}

// fresh makes a zero value of the type of `zero`, and returns a pointer to it.
func fresh(zero any) any {
	is := reflect.TypeOf(zero)
	if is.Kind() == reflect.Pointer {
		is = is.Elem()
	}
	return reflect.New(is).Interface()
}

// liveNames are the names of everything live, sorted.
func (p *Plugin) liveNames() []string {
	var names []string
	for _, table := range []map[string]any{p.LiveFuncs, p.LiveTypes, p.LiveData} {
		for name := range table {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// checkLive says which live thing cannot be it.
func (p *Plugin) checkLive() error {
	refuse := func(name string, why error) error {
		return &Error{Plugin: p.Name, Step: "open", Cause: fmt.Errorf("live `%s`: %w", name, why)}
	}
	seen := map[string]string{}
	for _, name := range p.liveNames() {
		if other, twice := seen[key(name)]; twice {
			return refuse(name, fmt.Errorf("%w: it is `%s` too: rename one of them", ErrDuplicate, other))
		}
		seen[key(name)] = name
		if function, is := p.LiveFuncs[name]; is {
			if err := callable(name, function); err != nil {
				return refuse(name, err)
			}
			continue
		}
		value, variable := p.LiveData[name]
		if !variable {
			value = p.LiveTypes[name]
		}
		is := reflect.TypeOf(value)
		if is == nil || variable && is.Kind() != reflect.Pointer {
			return refuse(name, fmt.Errorf("%w: it is `%v` in the generated table: generate it again", ErrSignature, is))
		}
		for is.Kind() == reflect.Pointer {
			is = is.Elem()
		}
		if err := plain(is); err != nil {
			return refuse(name, fmt.Errorf("%w: `%s` is not plain data: %w", ErrSignature, strings.TrimPrefix(is.String(), "main."), err))
		}
	}
	return nil
}
