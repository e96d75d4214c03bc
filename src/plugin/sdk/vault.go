// The vault, as plugins and the host see it: what the host provides, what plugins share, and what is live.

package hotplug

import (
	"context"
	"fmt"
)

// Vault is what a plugin gets in OnInit, and keeps. It reaches the host's values ([Vault.Extension]), values shared
// between plugins ([Vault.Bag]), and the newest version of everything live. It may be used by several goroutines.
//
// A vault that a plugin keeps does not keep the version alive; a value in the data bag does, if it holds code.
type Vault struct{ desk keeper }

// keeper is who answers a vault: the manager, or its process seen from the process of a plugin.
type keeper interface {
	extension(name string) (any, error)
	callExtension(ctx context.Context, name string, params []any) (any, error)
	callLive(ctx context.Context, name string, params []any) (any, error)
	newLive(name string) (any, error)
	liveData(name string) (Data, error)
	callPlugin(ctx context.Context, plugin, name string, params []any) (any, error)
	bagGet(key string) (item, error)
	bagPut(key string, put item, expected int64) (bool, error)
	bagDelete(key string) error
	bagKeys() ([]string, error)
}

// Extension returns what the host has given to [WithExtension] under that name.
func (v *Vault) Extension(name string) (any, error) { return v.desk.extension(name) }

// CallExtension calls an extension that is a function. It works between processes, where the function itself could not
// be handed over.
func (v *Vault) CallExtension(name string, params ...any) (any, error) {
	return v.desk.callExtension(context.Background(), name, params)
}

// Bag returns the values that plugins and the host share.
func (v *Vault) Bag() *DataBag { return &DataBag{desk: v.desk} }

// CallLive calls the newest version of a live function, whichever plugin has it: a job that was queued under one
// version is finished by the code of the next. A parameter of type [Data] becomes what the function takes.
func (v *Vault) CallLive(name string, params ...any) (any, error) {
	return v.desk.callLive(context.Background(), name, params)
}

// CallLiveContext is CallLive that waits no longer than the context says.
func (v *Vault) CallLiveContext(ctx context.Context, name string, params ...any) (any, error) {
	return v.desk.callLive(ctx, name, params)
}

// NewLive makes a value of the newest version of a live type, and returns a pointer to it.
func (v *Vault) NewLive(name string) (any, error) { return v.desk.newLive(name) }

// LiveData returns the value of a live variable in its newest version.
func (v *Vault) LiveData(name string) (Data, error) { return v.desk.liveData(name) }

// Pack makes data of a value, which has to be plain. Data does not belong to a version.
func (v *Vault) Pack(value any) (Data, error) { return Pack(value) }

// Open makes of data a value of the newest version of the live type that it was packed from, and returns a pointer to
// it.
func (v *Vault) Open(data Data) (any, error) {
	fresh, err := v.desk.newLive(data.Type)
	if err != nil {
		return nil, err
	}
	return fresh, data.Unpack(fresh)
}

// ExtensionOf is [Vault.Extension] for a value whose type is known.
func ExtensionOf[T any](vault *Vault, name string) (T, error) {
	var none T
	value, err := vault.Extension(name)
	if err != nil {
		return none, err
	}
	is, fits := value.(T)
	if !fits {
		return none, fmt.Errorf("%w: extension `%s` is `%T`, not `%T`", ErrSignature, name, value, none)
	}
	return is, nil
}
