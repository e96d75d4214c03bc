// Locks on files where the system has flock.

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package hotplug

import (
	"os"
	"syscall"
)

const locks = true

// lockFile takes the lock of a file unless somebody has it. It goes with the process.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
