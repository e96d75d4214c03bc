// One loaded version of a plugin, and the count of those who use it. The manager's snapshot is one user; each call,
// each importer and each value in the data bag is another. The last one to go frees it.

package hotplug

import (
	"context"
	"sync/atomic"
	"time"
)

type version struct {
	Metadata
	manager *Manager
	code    instance
	form    Form
	path    string
	// The hash of the file, where there is one.
	file   string
	loaded time.Time
	needs  []need
	// Versions whose exports this one has: it uses them for as long as it lives.
	uses []*version
	desk *desk
	// Whether OnLoad has succeeded, so that OnFree has something to free.
	begun bool
	users atomic.Int64
}

// acquire makes the caller a user, unless the last one has gone already.
func (v *version) acquire() bool {
	for {
		users := v.users.Load()
		if users == 0 {
			return false
		}
		if v.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

// release ends one use. What follows the last one runs elsewhere: a caller does not wait for OnFree.
func (v *version) release() {
	if v.users.Add(-1) == 0 {
		go v.free()
	}
}

// free runs OnFree and gives back everything. Errors have nobody to go to but the host's log.
func (v *version) free() {
	if v.begun {
		if err := v.code.onFree(); err != nil {
			v.manager.tell(Event{What: "free failed", Plugin: v.Name, Version: v.Version(), Err: err})
		}
	}
	v.code.close()
	for _, used := range v.uses {
		used.release()
	}
	v.manager.gone(v)
}

// invoke calls a function of an acquired version, and releases it when nobody needs it any more: after the call, or
// after the stream that the call has returned.
func (v *version) invoke(ctx context.Context, name string, params []any) (any, error) {
	return v.bounded(ctx, name, func() (any, error) { return v.code.invoke(ctx, name, params) })
}

// callLive is invoke for a live function.
func (v *version) callLive(ctx context.Context, name string, params []any) (any, error) {
	return v.bounded(ctx, name, func() (any, error) { return v.code.callLive(ctx, name, params) })
}

// bounded waits no longer than the context says. Code in this process cannot be stopped: it runs on, and its version
// stays in use until it returns.
func (v *version) bounded(ctx context.Context, name string, call func() (any, error)) (any, error) {
	if ctx.Done() == nil || v.form == Process {
		return v.leave(call)
	}
	if ctx.Err() != nil {
		v.release()
		return nil, &Error{Plugin: v.Name, Step: name, Cause: ctx.Err()}
	}
	type answer struct {
		result any
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		result, err := v.leave(call)
		done <- answer{result, err}
	}()
	select {
	case answer := <-done:
		return answer.result, answer.err
	case <-ctx.Done():
		go func() {
			if stream, is := (<-done).result.(*Stream); is {
				stream.Close()
			}
		}()
		return nil, &Error{Plugin: v.Name, Step: name, Cause: ctx.Err()}
	}
}

func (v *version) leave(call func() (any, error)) (result any, err error) {
	kept := false
	defer func() {
		if !kept {
			v.release()
		}
	}()
	result, err = call()
	if stream, is := result.(*Stream); is && stream != nil && err == nil {
		kept = stream.whenClosed(v.release)
	}
	return result, err
}
