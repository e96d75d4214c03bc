// What a plugin's Import asks for, read off the struct that it returns, and how that struct is filled in.

package hotplug

import (
	"context"
	"fmt"
	"reflect"
)

// Caller calls functions of one plugin, always of its newest version. A field of this type in what Import returns is
// filled in with one; it works between processes, and does not tie the two plugins' versions together.
type Caller interface {
	// InvokeFunc calls a function of the plugin.
	InvokeFunc(name string, params ...any) (any, error)
}

var callerType = reflect.TypeOf((*Caller)(nil)).Elem()

// caller is the Caller of a desk.
type caller struct {
	desk   keeper
	plugin string
}

func (c caller) InvokeFunc(name string, params ...any) (any, error) {
	return c.desk.callPlugin(context.Background(), c.plugin, name, params)
}

// asked reads what Import has returned.
func asked(imports any) ([]need, error) {
	if imports == nil {
		return nil, nil
	}
	if names, is := imports.([]string); is {
		var needs []need
		for _, name := range names {
			needs = append(needs, need{Plugin: name})
		}
		return needs, nil
	}
	value := reflect.ValueOf(imports)
	if value.Kind() != reflect.Pointer || value.IsNil() || value.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("%w: it returns `%T`: return nil, names as []string, or a pointer to a struct", ErrSignature, imports)
	}
	var needs []need
	for i, fields := 0, value.Elem().Type(); i < fields.NumField(); i++ {
		field := fields.Field(i)
		if !field.IsExported() {
			return nil, fmt.Errorf("%w: its field `%s` cannot be set: begin it with a capital letter", ErrSignature, field.Name)
		}
		needs = append(needs, need{Plugin: imported(field), Type: field.Type.String(), Caller: field.Type == callerType})
	}
	return needs, nil
}

// imported is the plugin that a field names: by its tag `plugin:"name"`, or by itself.
func imported(field reflect.StructField) string {
	if name := field.Tag.Get("plugin"); name != "" {
		return name
	}
	return field.Name
}

// fill sets the fields of what Import has returned; `exports` are by keys.
func fill(imports any, exports map[string]any, desk keeper) error {
	value := reflect.ValueOf(imports)
	if value.Kind() != reflect.Pointer {
		return nil
	}
	for i, fields := 0, value.Elem().Type(); i < fields.NumField(); i++ {
		field, name := fields.Field(i), imported(fields.Field(i))
		if field.Type == callerType {
			value.Elem().Field(i).Set(reflect.ValueOf(caller{desk: desk, plugin: name}))
			continue
		}
		export := exports[key(name)]
		if export == nil {
			return fmt.Errorf("%w: it imports `%v` from `%s`, whose Export returns nil", ErrSignature, field.Type, name)
		}
		if !reflect.TypeOf(export).AssignableTo(field.Type) {
			return fmt.Errorf("%w: it imports `%v` from `%s`, which exports `%T`", ErrSignature, field.Type, name, export)
		}
		value.Elem().Field(i).Set(reflect.ValueOf(export))
	}
	return nil
}
