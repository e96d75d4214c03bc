// This file is added to the external tests of a package beside the agent. It holds the tests until they may begin, and
// the process once they have ended, so that both moments can be used for questions to the agent.

package main

import (
	hotwatchHoldOS "os"
	hotwatchHoldStrconv "strconv"
	hotwatchHoldSyscall "syscall"
)

// What it waits for comes over this socket.
var hotwatchHold *hotwatchHoldOS.File

// Variables and the initialisation of all packages come before it: those in other files of this one, too.
func init() {
	number, err := hotwatchHoldStrconv.Atoi(hotwatchHoldOS.Getenv("HOTWATCH_HOLD"))
	if err != nil {
		return
	}
	hotwatchHoldOS.Unsetenv("HOTWATCH_HOLD")
	hotwatchHoldSyscall.CloseOnExec(number)
	hotwatchHold = hotwatchHoldOS.NewFile(uintptr(number), "hold")
	hotwatchHold.Read(make([]byte, 1))
}

// Examples come after tests, and those of the last file last.
func Example_hotwatchHold() {
	if hotwatchHold != nil {
		hotwatchHold.Write(make([]byte, 1))
		hotwatchHold.Read(make([]byte, 1))
	}
	// Output:
}
