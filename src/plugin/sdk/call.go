// Calls by name with parameters that are known only at run time: what a wrong name or a wrong parameter is told.

package hotplug

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// Table holds a plugin's functions by name. Its Invoke is what most plugins' InvokeFunc does:
//
//	var functions = hotplug.Table{"greet": greet}
//
//	func InvokeFunc(name string, params ...any) (any, error) { return functions.Invoke(name, params...) }
type Table map[string]any

// Invoke calls the function of that name. It returns [ErrNoFunction] where there is none, and [ErrSignature] for
// parameters that are not the function's own. A function returns nothing, a value, an error, or a value and an error.
func (t Table) Invoke(name string, params ...any) (any, error) {
	function, there := t[name]
	if !there {
		names := make([]string, 0, len(t))
		for name := range t {
			names = append(names, "`"+name+"`")
		}
		sort.Strings(names)
		return nil, fmt.Errorf("%w: `%s`: there are %s", ErrNoFunction, name, strings.Join(names, ", "))
	}
	return call(name, function, params)
}

var (
	errorType   = reflect.TypeOf((*error)(nil)).Elem()
	contextType = reflect.TypeOf((*context.Context)(nil)).Elem()
	dataType    = reflect.TypeOf(Data{})
)

// callable says what keeps a value from being called by name.
func callable(name string, function any) error {
	is := reflect.TypeOf(function)
	if is == nil || is.Kind() != reflect.Func || reflect.ValueOf(function).IsNil() {
		return fmt.Errorf("%w: `%s` is `%v`, not a function", ErrSignature, name, is)
	}
	if is.NumOut() > 2 || is.NumOut() == 2 && is.Out(1) != errorType {
		return fmt.Errorf("%w: `%s` is `%v`: it may return a value, an error, or a value and an error", ErrSignature, name, is)
	}
	return nil
}

// call calls a function with these parameters. A [Data] becomes what the function takes.
func call(name string, function any, params []any) (any, error) {
	if err := callable(name, function); err != nil {
		return nil, err
	}
	value := reflect.ValueOf(function)
	is := value.Type()
	fixed := is.NumIn()
	if is.IsVariadic() {
		fixed--
	}
	if len(params) < fixed || len(params) > fixed && !is.IsVariadic() {
		return nil, fmt.Errorf("%w: `%s` is `%v`, and was given %d parameters", ErrSignature, name, is, len(params))
	}
	in := make([]reflect.Value, len(params))
	for i, param := range params {
		var takes reflect.Type
		if i < fixed {
			takes = is.In(i)
		} else {
			takes = is.In(fixed).Elem()
		}
		var err error
		if in[i], err = fit(param, takes); err != nil {
			return nil, fmt.Errorf("%w: parameter %d of `%s` is `%v`: %w", ErrSignature, i+1, name, takes, err)
		}
	}
	out := value.Call(in)
	if len(out) == 0 {
		return nil, nil
	}
	if last := len(out) - 1; is.Out(last) == errorType {
		err, _ := out[last].Interface().(error)
		if last == 0 {
			return nil, err
		}
		return out[0].Interface(), err
	}
	return out[0].Interface(), nil
}

// fit makes of a parameter what the function takes.
func fit(param any, takes reflect.Type) (reflect.Value, error) {
	if param == nil {
		switch takes.Kind() {
		case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice:
			return reflect.Zero(takes), nil
		}
		return reflect.Value{}, errors.New("it was given nil")
	}
	value := reflect.ValueOf(param)
	if value.Type().AssignableTo(takes) {
		return value, nil
	}
	if data, is := param.(Data); is {
		fresh := reflect.New(takes)
		if err := data.Unpack(fresh.Interface()); err != nil {
			return reflect.Value{}, err
		}
		return fresh.Elem(), nil
	}
	if value.Type().String() == takes.String() {
		return reflect.Value{}, fmt.Errorf("it was given the `%v` of another version: pack it into a `hotplug.Data`", value.Type())
	}
	return reflect.Value{}, fmt.Errorf("it was given `%v`", value.Type())
}
