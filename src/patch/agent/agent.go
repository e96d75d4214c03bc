// This file is added to a service's package main while hotwatch builds it, and is not part of its source. It loads
// patches when hotwatch asks for it over an inherited socket, and does nothing where there is none. All names begin
// alike, those of imports too, since they must not be the service's own. The version is that of its language, whatever
// the service's module asks for.

//go:build go1.21

package main

import (
	hotwatchAgentBufio "bufio"
	hotwatchAgentBytes "bytes"
	hotwatchAgentJSON "encoding/json"
	hotwatchAgentErrors "errors"
	hotwatchAgentFmt "fmt"
	hotwatchAgentOS "os"
	hotwatchAgentPath "path/filepath"
	hotwatchAgentPlugin "plugin"
	hotwatchAgentReflect "reflect"
	hotwatchAgentRuntime "runtime"
	hotwatchAgentDebug "runtime/debug"
	hotwatchAgentPprof "runtime/pprof"
	hotwatchAgentStrconv "strconv"
	hotwatchAgentStrings "strings"
	hotwatchAgentSync "sync"
	hotwatchAgentAtomic "sync/atomic"
	hotwatchAgentSyscall "syscall"
	hotwatchAgentTime "time"
	hotwatchAgentUnsafe "unsafe"
)

// The environment variable with the number of the socket.
const hotwatchAgentVariable = "HOTWATCH_AGENT"

const (
	hotwatchAgentEntry = 13 // bytes of a jump
	hotwatchAgentPage  = 4096

	hotwatchAgentReadExecute = hotwatchAgentSyscall.PROT_READ | hotwatchAgentSyscall.PROT_EXEC
	hotwatchAgentAll         = hotwatchAgentReadExecute | hotwatchAgentSyscall.PROT_WRITE

	// membarrier(2), which package syscall lacks: every processor forgets what it has read of the old code.
	hotwatchAgentBarrier         = 324
	hotwatchAgentBarrierSync     = 1 << 5
	hotwatchAgentBarrierRegister = 1 << 6
)

type hotwatchAgentRequest struct {
	Do      string
	Library string
	// Functions that are called first, in bytes from where the library is loaded.
	First []uint64
	// The types that come with it, likewise, and where reflect keeps those that it has made.
	Types []uint64
	Made  hotwatchAgentMade
	Jumps []hotwatchAgentJump
	// Old bodies: from where to where.
	Ranges [][2]uint64
	// Where counters are.
	Counters []uint64
}

// Addresses of package reflect's variables, each of them 0 where the program has no use for it.
type hotwatchAgentMade struct {
	// Maps whose values point to descriptions of types, or are slices of what does; some as a reflect.Type.
	LookupCache, PtrMap uint64
	// Such maps behind a lock.
	FuncLookupCache, StructLookupCache uint64
}

type hotwatchAgentJump struct {
	At       uint64
	Expected []byte
	Offset   uint64
}

type hotwatchAgentAnswer struct {
	Error string `json:",omitempty"`
	// Who this is, and what is possible.
	Pid      int    `json:",omitempty"`
	Go       string `json:",omitempty"`
	Alone    bool   `json:",omitempty"`
	Writable bool   `json:",omitempty"`
	// Where the library was loaded, and how long that and the pause took, in microseconds.
	Base  uint64 `json:",omitempty"`
	Open  int64  `json:",omitempty"`
	Pause int64  `json:",omitempty"`
	// One per range or counter.
	Counts []uint64 `json:",omitempty"`
}

func init() {
	value := hotwatchAgentOS.Getenv(hotwatchAgentVariable)
	if value == "" {
		return
	}
	hotwatchAgentOS.Unsetenv(hotwatchAgentVariable)
	number, err := hotwatchAgentStrconv.Atoi(value)
	var stat hotwatchAgentSyscall.Stat_t
	if err != nil || number < 3 || hotwatchAgentSyscall.Fstat(number, &stat) != nil {
		return
	}
	if stat.Mode&hotwatchAgentSyscall.S_IFMT != hotwatchAgentSyscall.S_IFSOCK {
		return
	}
	hotwatchAgentSyscall.CloseOnExec(number)
	// Waiting for it takes no thread then.
	if hotwatchAgentSyscall.SetNonblock(number, true) != nil {
		return
	}
	go hotwatchAgentServe(hotwatchAgentOS.NewFile(uintptr(number), "hotwatch"))
}

// hotwatchAgentServe answers requests until the other end is closed.
func hotwatchAgentServe(socket *hotwatchAgentOS.File) {
	defer socket.Close()
	lines := hotwatchAgentBufio.NewReader(socket)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var request hotwatchAgentRequest
		answer, err := hotwatchAgentAnswer{}, hotwatchAgentJSON.Unmarshal(line, &request)
		if err == nil {
			answer, err = hotwatchAgentDo(&request)
		}
		if err != nil {
			answer = hotwatchAgentAnswer{Error: err.Error()}
		}
		text, _ := hotwatchAgentJSON.Marshal(answer)
		if _, err := socket.Write(append(text, '\n')); err != nil {
			return
		}
	}
}

func hotwatchAgentDo(request *hotwatchAgentRequest) (answer hotwatchAgentAnswer, err error) {
	// The service goes on, whatever happens here.
	defer func() {
		if problem := recover(); problem != nil {
			err = hotwatchAgentFmt.Errorf("panic: %v", problem)
		}
	}()
	switch request.Do {
	case "hello":
		answer.Pid, answer.Go = hotwatchAgentOS.Getpid(), hotwatchAgentRuntime.Version()
		answer.Alone, answer.Writable = hotwatchAgentAlone(), hotwatchAgentWritable()
	case "switch":
		return hotwatchAgentSwitch(request)
	case "stale":
		answer.Counts, err = hotwatchAgentStale(request.Ranges)
	case "effects":
		for _, at := range request.Counters {
			counter := (*uint64)(hotwatchAgentPointer(at))
			answer.Counts = append(answer.Counts, hotwatchAgentAtomic.LoadUint64(counter))
		}
	default:
		err = hotwatchAgentFmt.Errorf("unknown request %q", request.Do)
	}
	return answer, err
}

// hotwatchAgentPointer makes a pointer of an address outside of the heap.
func hotwatchAgentPointer(at uint64) hotwatchAgentUnsafe.Pointer {
	return *(*hotwatchAgentUnsafe.Pointer)(hotwatchAgentUnsafe.Pointer(&at))
}

// hotwatchAgentAlone says whether goroutines stop at calls only: the last setting counts.
func hotwatchAgentAlone() bool {
	off := false
	for _, setting := range hotwatchAgentStrings.Split(hotwatchAgentOS.Getenv("GODEBUG"), ",") {
		if value, found := hotwatchAgentStrings.CutPrefix(setting, "asyncpreemptoff="); found {
			off = value == "1"
		}
	}
	return off
}

// hotwatchAgentWritable says whether code can be written over, by trying it on this function.
func hotwatchAgentWritable() bool {
	function := hotwatchAgentWritable
	at := **(**uint64)(hotwatchAgentUnsafe.Pointer(&function))
	target := hotwatchAgentTarget{at: uintptr(at)}
	copy(target.code[:], (*[hotwatchAgentEntry]byte)(hotwatchAgentPointer(at))[:])
	targets := []hotwatchAgentTarget{target}
	if hotwatchAgentProtect(targets, hotwatchAgentAll) == nil {
		return hotwatchAgentProtect(targets, hotwatchAgentReadExecute) == nil
	}
	memory, err := hotwatchAgentOS.OpenFile("/proc/self/mem", hotwatchAgentOS.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer memory.Close()
	_, err = memory.WriteAt(target.code[:], int64(at))
	return err == nil
}

// A jump to be written.
type hotwatchAgentTarget struct {
	at   uintptr
	old  [hotwatchAgentEntry]byte
	code [hotwatchAgentEntry]byte
}

// hotwatchAgentSwitch loads a library, and then writes all jumps or none.
func hotwatchAgentSwitch(request *hotwatchAgentRequest) (answer hotwatchAgentAnswer, err error) {
	if !hotwatchAgentAlone() {
		return answer, hotwatchAgentErrors.New("asyncpreemptoff=1 is not in force: something has changed GODEBUG")
	}
	start := hotwatchAgentTime.Now()
	if _, err := hotwatchAgentPlugin.Open(request.Library); err != nil {
		return answer, err
	}
	answer.Open = hotwatchAgentTime.Since(start).Microseconds()
	if answer.Base, err = hotwatchAgentBase(request.Library); err != nil {
		return answer, err
	}
	if name := hotwatchAgentTwice(request, answer.Base); name != "" {
		return answer, hotwatchAgentFmt.Errorf("the process has made the type %s itself, by reflection", name)
	}
	for _, offset := range request.First {
		if err := hotwatchAgentCall(answer.Base + offset); err != nil {
			return answer, err
		}
	}
	targets, err := hotwatchAgentTargets(request.Jumps, answer.Base)
	if err != nil || len(targets) == 0 {
		return answer, err
	}
	// Where memory cannot be made writable, the system may still write to it for us.
	memory := -1
	if hotwatchAgentProtect(targets, hotwatchAgentAll) != nil {
		file, err := hotwatchAgentOS.OpenFile("/proc/self/mem", hotwatchAgentOS.O_RDWR, 0)
		if err != nil {
			return answer, hotwatchAgentFmt.Errorf("code cannot be written over: %w", err)
		}
		defer file.Close()
		memory = int(file.Fd())
	}
	hotwatchAgentSyscall.RawSyscall(hotwatchAgentBarrier, hotwatchAgentBarrierRegister, 0, 0)
	start = hotwatchAgentTime.Now()
	// From here on one goroutine at a time runs, this one, until it may yield; what is called next cannot.
	processors := hotwatchAgentRuntime.GOMAXPROCS(1)
	written := hotwatchAgentWrite(&targets[0], len(targets), memory)
	hotwatchAgentRuntime.GOMAXPROCS(processors)
	answer.Pause = hotwatchAgentTime.Since(start).Microseconds()
	if memory < 0 {
		if err := hotwatchAgentProtect(targets, hotwatchAgentReadExecute); err != nil {
			return answer, hotwatchAgentFmt.Errorf("code stays writable: %w", err)
		}
	}
	switch written {
	case 0:
		return answer, nil
	case 1:
		return answer, hotwatchAgentErrors.New("code has changed while it was to be written over")
	default:
		return answer, hotwatchAgentErrors.New("code was written over in part")
	}
}

// hotwatchAgentCall calls the function at an address, which takes and returns nothing.
func hotwatchAgentCall(at uint64) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = hotwatchAgentFmt.Errorf("a new variable has no value: panic: %v", problem)
		}
	}()
	// The value of a function points to a word that says where its code is.
	word := &at
	(*(*func())(hotwatchAgentUnsafe.Pointer(&word)))()
	return nil
}

// hotwatchAgentTwice names a type of the library that reflect has made before, which is another type to all code.
func hotwatchAgentTwice(request *hotwatchAgentRequest, base uint64) (twice string) {
	names := map[string]bool{}
	for _, offset := range request.Types {
		names[hotwatchAgentType(base+offset).String()] = true
	}
	look := func(_, value any) bool {
		made := []hotwatchAgentReflect.Value{hotwatchAgentReflect.ValueOf(value)}
		if list := made[0]; list.Kind() == hotwatchAgentReflect.Slice {
			made = nil
			for i := 0; i < list.Len(); i++ {
				made = append(made, hotwatchAgentReflect.ValueOf(list.Index(i).Interface()))
			}
		}
		for _, description := range made {
			if name := hotwatchAgentType(uint64(description.Pointer())).String(); names[name] {
				twice = name
			}
		}
		return twice == ""
	}
	type locked struct {
		hotwatchAgentSync.Mutex
		m hotwatchAgentSync.Map
	}
	for _, at := range []uint64{request.Made.LookupCache, request.Made.PtrMap} {
		if at != 0 {
			(*hotwatchAgentSync.Map)(hotwatchAgentPointer(at)).Range(look)
		}
	}
	for _, at := range []uint64{request.Made.FuncLookupCache, request.Made.StructLookupCache} {
		if at != 0 {
			(*locked)(hotwatchAgentPointer(at)).m.Range(look)
		}
	}
	return twice
}

// hotwatchAgentType is the type whose description is at an address.
func hotwatchAgentType(at uint64) hotwatchAgentReflect.Type {
	var value any
	*(*uint64)(hotwatchAgentUnsafe.Pointer(&value)) = at
	return hotwatchAgentReflect.TypeOf(value)
}

// hotwatchAgentBase finds where a library is in memory.
func hotwatchAgentBase(library string) (uint64, error) {
	library, err := hotwatchAgentPath.EvalSymlinks(library)
	if err != nil {
		return 0, err
	}
	maps, err := hotwatchAgentOS.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	for _, line := range hotwatchAgentStrings.Split(string(maps), "\n") {
		if hotwatchAgentStrings.HasSuffix(line, " "+library) {
			start, _, _ := hotwatchAgentStrings.Cut(line, "-")
			return hotwatchAgentStrconv.ParseUint(start, 16, 64)
		}
	}
	return 0, hotwatchAgentFmt.Errorf("%s is not where it was loaded", library)
}

// hotwatchAgentTargets prepares the jumps, and checks that what is to be written over is as expected.
func hotwatchAgentTargets(jumps []hotwatchAgentJump, base uint64) (targets []hotwatchAgentTarget, err error) {
	defer hotwatchAgentDebug.SetPanicOnFault(hotwatchAgentDebug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = hotwatchAgentErrors.New("there is no code where some is to be written over")
		}
	}()
	for _, jump := range jumps {
		target := hotwatchAgentTarget{at: uintptr(jump.At)}
		copy(target.old[:], jump.Expected)
		if *(*[hotwatchAgentEntry]byte)(hotwatchAgentPointer(jump.At)) != target.old {
			return nil, hotwatchAgentFmt.Errorf("the code at %#x is not what it should be", jump.At)
		}
		// movabs $address, %r12; jmp *%r12
		target.code = [hotwatchAgentEntry]byte{0: 0x49, 1: 0xbc, 10: 0x41, 11: 0xff, 12: 0xe4}
		for i := 0; i < 8; i++ {
			target.code[2+i] = byte((base + jump.Offset) >> (8 * i))
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// hotwatchAgentProtect sets what may be done with the memory of the targets.
func hotwatchAgentProtect(targets []hotwatchAgentTarget, protection uintptr) error {
	for i := range targets {
		start := targets[i].at &^ (hotwatchAgentPage - 1)
		length := targets[i].at + hotwatchAgentEntry - start
		_, _, errno := hotwatchAgentSyscall.RawSyscall(hotwatchAgentSyscall.SYS_MPROTECT, start, length, protection)
		if errno != 0 {
			return errno
		}
	}
	return nil
}

// hotwatchAgentWrite writes the jumps. It returns 0, or 1 if it has not written anything, or 2 if a write failed. It
// must not yield, so it may call only what cannot either.
//
//go:nosplit
//go:norace
//go:nocheckptr
func hotwatchAgentWrite(first *hotwatchAgentTarget, count, memory int) int {
	size := hotwatchAgentUnsafe.Sizeof(*first)
	for i := 0; i < count; i++ {
		target := (*hotwatchAgentTarget)(hotwatchAgentUnsafe.Add(hotwatchAgentUnsafe.Pointer(first), uintptr(i)*size))
		at := *(**byte)(hotwatchAgentUnsafe.Pointer(&target.at))
		for k := uintptr(0); k < hotwatchAgentEntry; k++ {
			old := *(*byte)(hotwatchAgentUnsafe.Add(hotwatchAgentUnsafe.Pointer(&target.old), k))
			if *(*byte)(hotwatchAgentUnsafe.Add(hotwatchAgentUnsafe.Pointer(at), k)) != old {
				return 1
			}
		}
	}
	result := 0
	for i := 0; i < count; i++ {
		target := (*hotwatchAgentTarget)(hotwatchAgentUnsafe.Add(hotwatchAgentUnsafe.Pointer(first), uintptr(i)*size))
		if memory >= 0 {
			code := uintptr(hotwatchAgentUnsafe.Pointer(&target.code))
			n, _, _ := hotwatchAgentSyscall.RawSyscall6(hotwatchAgentSyscall.SYS_PWRITE64,
				uintptr(memory), code, hotwatchAgentEntry, target.at, 0, 0)
			if n != hotwatchAgentEntry {
				result = 2
			}
			continue
		}
		at := *(**byte)(hotwatchAgentUnsafe.Pointer(&target.at))
		for k := uintptr(0); k < hotwatchAgentEntry; k++ {
			code := *(*byte)(hotwatchAgentUnsafe.Add(hotwatchAgentUnsafe.Pointer(&target.code), k))
			*(*byte)(hotwatchAgentUnsafe.Add(hotwatchAgentUnsafe.Pointer(at), k)) = code
		}
	}
	hotwatchAgentSyscall.RawSyscall(hotwatchAgentBarrier, hotwatchAgentBarrierSync, 0, 0)
	return result
}

// hotwatchAgentStale counts, for each range, the goroutines that will return into it.
func hotwatchAgentStale(ranges [][2]uint64) ([]uint64, error) {
	// Each line of the form "2 @ 0x1 0x2" is a number of goroutines and where they are.
	var text hotwatchAgentBytes.Buffer
	if err := hotwatchAgentPprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		return nil, err
	}
	counts := make([]uint64, len(ranges))
	for _, line := range hotwatchAgentStrings.Split(text.String(), "\n") {
		number, stack, found := hotwatchAgentStrings.Cut(line, " @ ")
		goroutines, err := hotwatchAgentStrconv.ParseUint(number, 10, 64)
		if !found || err != nil {
			continue
		}
		inside := make([]bool, len(ranges))
		for _, word := range hotwatchAgentStrings.Fields(stack) {
			at, _ := hotwatchAgentStrconv.ParseUint(word, 0, 64)
			for i, old := range ranges {
				inside[i] = inside[i] || old[0] < at && at <= old[1]
			}
		}
		for i := range ranges {
			if inside[i] {
				counts[i] += goroutines
			}
		}
	}
	return counts, nil
}
