// The data bag: values that plugins and the host share. A value whose use runs code of the version that put it there
// keeps that version alive until it is replaced or deleted. What a reload has put there is taken back if it fails.

package hotplug

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"sync"
)

// DataBag holds values by name, each of one type; see [Put], [Get] and [Update]. It may be used by several goroutines;
// whether the values may is their own affair. In a plugin's own process it works with the host's bag, and values are
// copied.
type DataBag struct{ desk keeper }

// item is a value in a bag, or on its way there.
type item struct {
	value any
	// What it was put in as.
	is string
	// How often the name has been put.
	revision int64
	// Who is kept alive by it.
	holder *version
	// The reload under which it was put, while that is not finished.
	during *Snapshot
}

// anyRevision is expected by those who replace whatever there is.
const anyRevision = -1

// Put sets a value. The type T of the first value of a name stays that of the name until it is deleted.
func Put[T any](bag *DataBag, name string, value T) error {
	_, err := bag.desk.bagPut(name, item{value: value, is: typeName[T]()}, anyRevision)
	return err
}

// Get returns a value: [ErrNoValue] if there is none, [ErrSignature] if it is not a T.
func Get[T any](bag *DataBag, name string) (T, error) {
	var none T
	found, err := bag.desk.bagGet(name)
	if err != nil {
		return none, err
	}
	return as[T](name, found)
}

// Update replaces a value by what `change` makes of it, and returns that. No other value is lost: `change` is called
// again if somebody was faster. `there` is false where there is no value yet.
func Update[T any](bag *DataBag, name string, change func(old T, there bool) T) (T, error) {
	var none T
	for {
		found, err := bag.desk.bagGet(name)
		there := err == nil
		if !there && !errors.Is(err, ErrNoValue) {
			return none, err
		}
		var old T
		if there {
			if old, err = as[T](name, found); err != nil {
				return none, err
			}
		}
		fresh := change(old, there)
		done, err := bag.desk.bagPut(name, item{value: fresh, is: typeName[T]()}, found.revision)
		if err != nil || done {
			return fresh, err
		}
	}
}

// Delete removes a value, if there is one.
func (b *DataBag) Delete(name string) error { return b.desk.bagDelete(name) }

// Names lists what there is, sorted.
func (b *DataBag) Names() ([]string, error) { return b.desk.bagKeys() }

func typeName[T any]() string { return reflect.TypeOf((*T)(nil)).Elem().String() }

func as[T any](name string, found item) (T, error) {
	is, fits := found.value.(T)
	if fits || found.value == nil && found.is == typeName[T]() {
		return is, nil
	}
	if found.is == typeName[T]() {
		return is, fmt.Errorf("%w: `%s` in the data bag is the `%s` of another version: put a `hotplug.Data` there", ErrSignature, name, found.is)
	}
	return is, fmt.Errorf("%w: `%s` in the data bag is `%s`, not `%s`", ErrSignature, name, found.is, typeName[T]())
}

// bag is the host's side of it.
type bag struct {
	mutex sync.Mutex
	items map[string]item
	// The last revision that was given out; none is given out twice, whatever is deleted or undone.
	revision int64
	// What stood there before the reload under way changed it; an item without type where nothing was.
	undo map[string]item
}

func noValue(name string) error {
	return fmt.Errorf("%w: `%s` is not in the data bag", ErrNoValue, name)
}

func (b *bag) get(name string) (item, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	found, there := b.items[name]
	if !there {
		return item{}, noValue(name)
	}
	return found, nil
}

// put replaces the item if its revision is the expected one; 0 is that of no item.
func (b *bag) put(name string, fresh item, expected int64) (bool, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	old := b.items[name]
	if expected != anyRevision && expected != old.revision {
		return false, nil
	}
	if old.is != "" && old.is != fresh.is {
		return false, fmt.Errorf("%w: `%s` in the data bag is `%s`, not `%s`: delete it first", ErrSignature, name, old.is, fresh.is)
	}
	if fresh.holder != nil && !fresh.holder.acquire() {
		return false, fmt.Errorf("%w: this version of `%s` has been freed", ErrNoPlugin, fresh.holder.Name)
	}
	b.revision++
	fresh.revision = b.revision
	b.displace(name, old, fresh.during)
	if b.items == nil {
		b.items = map[string]item{}
	}
	b.items[name] = fresh
	return true, nil
}

func (b *bag) delete(name string, during *Snapshot) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.displace(name, b.items[name], during)
	delete(b.items, name)
}

// displace lets go of an item, or keeps it for undoing.
func (b *bag) displace(name string, old item, during *Snapshot) {
	if _, kept := b.undo[name]; during != nil && !kept && b.undo != nil {
		b.undo[name] = old
		return
	}
	if old.holder != nil {
		old.holder.release()
	}
}

func (b *bag) names() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	names := make([]string, 0, len(b.items))
	for name := range b.items {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// begin makes what a reload's new versions put here revocable.
func (b *bag) begin() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.undo = map[string]item{}
}

// end finishes that: everything is kept, or the former items stand again where nobody else has put others since.
func (b *bag) end(keep bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for name, old := range b.undo {
		now, there := b.items[name]
		if keep || there && now.during == nil {
			if old.holder != nil {
				old.holder.release()
			}
			continue
		}
		if now.holder != nil {
			now.holder.release()
		}
		if old.is == "" {
			delete(b.items, name)
		} else {
			b.items[name] = old
		}
	}
	for name, now := range b.items {
		now.during = nil
		b.items[name] = now
	}
	b.undo = nil
}

// clear lets everything go.
func (b *bag) clear() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, it := range b.items {
		if it.holder != nil {
			it.holder.release()
		}
	}
	b.items = nil
}
