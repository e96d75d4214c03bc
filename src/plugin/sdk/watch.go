// The directory loader: looks at the directories in an interval, and reloads once what has changed has settled.

package hotplug

import (
	"strings"
	"sync"
	"time"
)

type watch struct {
	end  chan struct{}
	done sync.WaitGroup
	once sync.Once
}

// watchDirs starts watching, once; the manager's lock is held.
func (m *Manager) watchDirs() {
	if m.watch != nil || m.options.watch <= 0 || len(m.dirs) == 0 {
		return
	}
	m.watch = &watch{end: make(chan struct{})}
	m.watch.done.Add(1)
	go m.watch.run(m)
}

func (w *watch) stop() {
	w.once.Do(func() { close(w.end) })
	w.done.Wait()
}

func (w *watch) run(m *Manager) {
	defer w.done.Done()
	ticker := time.NewTicker(m.options.watch)
	defer ticker.Stop()
	var before string
	var failed error
	for {
		select {
		case <-w.end:
			return
		case <-ticker.C:
		}
		look, err := m.look()
		if err != nil {
			// A directory that is gone unloads nothing; that is said once.
			if failed == nil || failed.Error() != err.Error() {
				m.tell(Event{What: "watch failed", Err: err})
			}
			failed = err
			continue
		}
		failed = nil
		if decideWatch(m.acted(), before, look) {
			// What comes of it is an event. A file that is being written differs at the next look again.
			m.Reload()
		}
		before = look
	}
}

// decideWatch tells whether to reload: there is something new, and it looked the same before.
func decideWatch(acted, before, now string) bool { return now != acted && now == before }

// look is what all directories look like now.
func (m *Manager) look() (string, error) {
	var all []string
	for _, dir := range m.dirs {
		_, look, err := dir.plugins()
		if err != nil {
			return "", err
		}
		all = append(all, look)
	}
	return strings.Join(all, "\x00"), nil
}

// acted is what they looked like when something was last done about it.
func (m *Manager) acted() string {
	m.changing.Lock()
	defer m.changing.Unlock()
	var all []string
	for _, dir := range m.dirs {
		all = append(all, dir.acted)
	}
	return strings.Join(all, "\x00")
}
