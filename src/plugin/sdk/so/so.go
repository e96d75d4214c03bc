// Package so lets a host load plugins that are shared objects. Import it for its side effect:
//
//	import _ "hotwatch.invalid/hotplug/so"
//
// It is apart from package hotplug because Go's own plugin package makes the linker export every symbol of a program:
// hosts whose plugins are linked, or run in processes of their own, do not need that. Such plugins need a host that is
// built with cgo, for Linux, macOS or FreeBSD, by the same Go and with the same flags as the plugins (-race, -trimpath).
// Their code is never unloaded: each version stays in the host's memory. Plugins in processes of their own do not have
// that limit.
package so

import "hotwatch.invalid/hotplug"

func init() { hotplug.RegisterOpener(open) }
