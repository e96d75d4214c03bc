// Errors of the package: one type that names plugin, step and cause, the causes that a host may want to tell apart,
// and the place where a plugin's panic becomes an error.

package hotplug

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// Causes that can be told apart by [errors.Is], also when they come from a plugin in another process.
var (
	// ErrNoPlugin says that no plugin of that name is loaded.
	ErrNoPlugin = errors.New("no such plugin")
	// ErrNoFunction says that a plugin does not have the function.
	ErrNoFunction = errors.New("no such function")
	// ErrNoValue says that an extension, a key of the data bag or a live name does not exist.
	ErrNoValue = errors.New("no such value")
	// ErrSignature says that parameters, or a type, are not those that were declared.
	ErrSignature = errors.New("the signature differs")
	// ErrPanic says that a plugin panicked.
	ErrPanic = errors.New("panic")
	// ErrCycle says that plugins import each other.
	ErrCycle = errors.New("import cycle")
	// ErrDuplicate says that two plugins have one name, or one live name.
	ErrDuplicate = errors.New("duplicate name")
	// ErrStale says that a plugin was rebuilt while one that uses it was not.
	ErrStale = errors.New("built against another version")
	// ErrVeto says that the host's callback refused the new versions.
	ErrVeto = errors.New("vetoed")
	// ErrCrashed says that the process of a plugin ended while it was needed.
	ErrCrashed = errors.New("the process has crashed")
	// ErrCannotCross says that a value cannot be sent to another process.
	ErrCannotCross = errors.New("cannot cross to another process")
	// ErrClosed says that the manager has been closed.
	ErrClosed = errors.New("the manager is closed")
	// ErrUnsupported says that this host, or this system, does not have that form of plugin.
	ErrUnsupported = errors.New("not supported")
)

// Error is what went wrong with a plugin.
type Error struct {
	// Plugin is its name.
	Plugin string
	// Step is the function that failed (`OnLoad`), or what was being done (`open`, `vault`, `veto`).
	Step string
	// Cause is why.
	Cause error
	// Stack is where it panicked, if it did.
	Stack []byte
}

// Error renders plugin, step and cause in one line.
func (e *Error) Error() string {
	if e.Plugin == "" {
		return fmt.Sprintf("`%s` failed: %v", e.Step, e.Cause)
	}
	return fmt.Sprintf("plugin `%s`: `%s` failed: %v", e.Plugin, e.Step, e.Cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// guard runs a step of a plugin; an error and a panic both become an *Error.
func guard(plugin, step string, run func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &Error{Plugin: plugin, Step: step, Cause: panicked(cause), Stack: debug.Stack()}
		}
	}()
	return named(plugin, step, run())
}

// panicked makes an error of what recover has returned.
func panicked(cause any) error {
	if err, is := cause.(error); is {
		return fmt.Errorf("%w: %w", ErrPanic, err)
	}
	return fmt.Errorf("%w: %v", ErrPanic, cause)
}

// named puts plugin and step before a cause, unless it has them already.
func named(plugin, step string, cause error) error {
	if cause == nil {
		return nil
	}
	if err, is := cause.(*Error); is && err.Plugin != "" {
		return cause
	}
	return &Error{Plugin: plugin, Step: step, Cause: cause}
}

// codes are the causes as they are sent between processes.
var codes = map[string]error{
	"plugin": ErrNoPlugin, "function": ErrNoFunction, "value": ErrNoValue, "signature": ErrSignature, "panic": ErrPanic,
	"crashed": ErrCrashed, "cross": ErrCannotCross, "closed": ErrClosed, "unsupported": ErrUnsupported,
	"deadline": context.DeadlineExceeded, "cancelled": context.Canceled,
}

// wireError is an error on its way to another process.
type wireError struct {
	plugin, step, text string
	codes              []string
	stack              []byte
}

func toWire(err error) *wireError {
	wire := &wireError{text: err.Error()}
	var of *Error
	if errors.As(err, &of) {
		wire.plugin, wire.step, wire.text, wire.stack = of.Plugin, of.Step, of.Cause.Error(), of.Stack
	}
	for code, cause := range codes {
		if errors.Is(err, cause) {
			wire.codes = append(wire.codes, code)
		}
	}
	return wire
}

func fromWire(wire *wireError) error {
	if wire == nil {
		return nil
	}
	err := &distant{text: wire.text}
	for _, code := range wire.codes {
		if cause := codes[code]; cause != nil {
			err.causes = append(err.causes, cause)
		}
	}
	if wire.step == "" {
		return err
	}
	return &Error{Plugin: wire.plugin, Step: wire.step, Cause: err, Stack: wire.stack}
}

// distant is an error of another process: its text is all that is left of it, and which causes it had.
type distant struct {
	text   string
	causes []error
}

func (e *distant) Error() string   { return e.text }
func (e *distant) Unwrap() []error { return e.causes }
