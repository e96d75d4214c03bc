// Which values can go to another process. What gob would lose silently (functions in structs, unexported fields) is
// refused here with the place where it stands.

package hotplug

import (
	"encoding"
	"encoding/gob"
	"fmt"
	"reflect"
	"time"
)

// RegisterType makes values of a type able to cross to plugins in processes of their own and back, as parameters,
// results, extensions and values in the data bag. Host and plugin both register it, under the same name; with an empty
// name that is the type's package path and name, which fits types of packages that both import. Basic types, slices of
// them, []any, map[string]any, [time.Time], [time.Duration] and [Data] are registered.
func RegisterType(name string, sample any) {
	if name == "" {
		gob.Register(sample)
		return
	}
	gob.RegisterName(name, sample)
}

func init() {
	for _, sample := range []any{
		// Some of these have bytes of their own, but not inside of other types.
		[]any{}, map[string]any{}, map[string]string{}, map[string]int{}, time.Time{}, time.Duration(0), Data{}, []Data{},
		[]need{}, hello{}, wireItem{},
	} {
		gob.Register(sample)
	}
}

// crosses says what keeps a value from crossing.
func crosses(value any) error {
	if value == nil {
		return nil
	}
	if err := crossesBelow(reflect.ValueOf(value), map[visit]bool{}); err != nil {
		return fmt.Errorf("%w: `%T`: %w", ErrCannotCross, value, err)
	}
	return nil
}

var coders = []reflect.Type{
	reflect.TypeOf((*gob.GobEncoder)(nil)).Elem(), reflect.TypeOf((*encoding.BinaryMarshaler)(nil)).Elem(),
}

// basic tells whether every value of the type crosses.
func basic(is reflect.Type) bool {
	switch is.Kind() {
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64, reflect.Complex64,
		reflect.Complex128:
		return true
	}
	return is == reflect.TypeOf(time.Time{})
}

// visit is a pointer on the way. The first field of a struct has the address of the whole; only the same type again is a
// ring.
type visit struct {
	at uintptr
	is reflect.Type
}

// crossesBelow walks through a value; `under` are the pointers, slices and maps on the way to it.
func crossesBelow(value reflect.Value, under map[visit]bool) error {
	is := value.Type()
	if basic(is) {
		return nil
	}
	for _, coder := range coders {
		if is.Implements(coder) || reflect.PointerTo(is).Implements(coder) {
			return nil
		}
	}
	switch is.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if value.IsNil() || is.Kind() == reflect.Slice && (value.Len() == 0 || basic(is.Elem())) {
			return nil
		}
		at := visit{value.Pointer(), is}
		if under[at] {
			return fmt.Errorf("it contains itself: send what identifies it instead")
		}
		if len(under) >= deepest {
			return fmt.Errorf("it is nested more than %d deep: send it in parts", deepest)
		}
		under[at] = true
		defer delete(under, at)
	}
	switch is.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("a `%v` belongs to its process: send data, and let the other side call by name", is)
	case reflect.Pointer:
		return crossesBelow(value.Elem(), under)
	case reflect.Interface:
		if value.IsNil() {
			return nil
		}
		return crossesBelow(value.Elem(), under)
	case reflect.Slice, reflect.Array:
		for i := 0; i < value.Len(); i++ {
			if isNil(value.Index(i)) {
				return fmt.Errorf("element %d is nil: leave it out", i)
			}
			if err := crossesBelow(value.Index(i), under); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
	case reflect.Map:
		for entries := value.MapRange(); entries.Next(); {
			if isNil(entries.Value()) {
				return fmt.Errorf("the value of `%v` is nil: leave it out", entries.Key())
			}
			if err := crossesBelow(entries.Key(), under); err != nil {
				return fmt.Errorf("a key: %w", err)
			}
			if err := crossesBelow(entries.Value(), under); err != nil {
				return fmt.Errorf("the value of `%v`: %w", entries.Key(), err)
			}
		}
	case reflect.Struct:
		for i := 0; i < is.NumField(); i++ {
			if !is.Field(i).IsExported() {
				return fmt.Errorf("its field `%s` would be lost: begin it with a capital letter, or give the type a `GobEncode`", is.Field(i).Name)
			}
			if err := crossesBelow(value.Field(i), under); err != nil {
				return fmt.Errorf("its field `%s`: %w", is.Field(i).Name, err)
			}
		}
	}
	return nil
}

// isNil is what gob cannot send inside of a slice or a map.
func isNil(value reflect.Value) bool {
	return (value.Kind() == reflect.Interface || value.Kind() == reflect.Pointer) && value.IsNil()
}
