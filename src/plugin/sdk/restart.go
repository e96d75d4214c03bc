// How often a plugin's process that crashes is started again.

package hotplug

import "time"

// A process that crashed so often within so long is not started again before its plugin is reloaded.
const (
	crashesMost   = 5
	crashesWithin = time.Minute
)

// mayRestart tells whether a process may be started again now, and which crashes still count.
func mayRestart(crashes []time.Time, now time.Time) (bool, []time.Time) {
	var recent []time.Time
	for _, at := range crashes {
		if now.Sub(at) < crashesWithin {
			recent = append(recent, at)
		}
	}
	return len(recent) < crashesMost, recent
}
