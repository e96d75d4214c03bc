package main

import (
	"bufio"
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestTheLastSettingCounts(t *testing.T) {
	for setting, alone := range map[string]bool{
		"":                                    false,
		"asyncpreemptoff=1":                   true,
		"gctrace=1,asyncpreemptoff=1":         true,
		"asyncpreemptoff=1,asyncpreemptoff=0": false,
		"asyncpreemptoff=0,asyncpreemptoff=1": true,
	} {
		t.Setenv("GODEBUG", setting)
		if hotwatchAgentAlone() != alone {
			t.Errorf("%q", setting)
		}
	}
}

//go:noinline
func wait(entered, leave chan bool) { entered <- true; <-leave; entered <- true }

func TestGoroutinesInsideOfARangeAreCounted(t *testing.T) {
	start := uint64(reflect.ValueOf(wait).Pointer())
	ranges := [][2]uint64{{start, start + 100}, {1, 2}}
	entered, leave := make(chan bool), make(chan bool)
	for range [3]int{} {
		go wait(entered, leave)
		<-entered
	}
	// One that is between two states may not be told.
	counts, err := hotwatchAgentStale(ranges)
	for start := time.Now(); err == nil && counts[0] < 3 && time.Since(start) < time.Minute; {
		counts, err = hotwatchAgentStale(ranges)
	}
	if err != nil || counts[0] != 3 || counts[1] != 0 {
		t.Error(counts, err)
	}
	for range [3]int{} {
		leave <- true
		<-entered
	}
}

func TestAllIsWrittenOrNothing(t *testing.T) {
	var memory [2][hotwatchAgentEntry]byte
	var targets [2]hotwatchAgentTarget
	for i := range targets {
		targets[i].at = uintptr(unsafe.Pointer(&memory[i]))
		targets[i].code[0] = 7
	}
	targets[1].old[3] = 1
	if hotwatchAgentWrite(&targets[0], 2, -1) != 1 || memory[0][0] != 0 {
		t.Error(memory)
	}
	memory[1][3] = 1
	if hotwatchAgentWrite(&targets[0], 2, -1) != 0 || memory[0][0] != 7 || memory[1][0] != 7 {
		t.Error(memory)
	}
	runtime.KeepAlive(&memory)
}

func TestItAnswersUntilTheOtherEndCloses(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := os.NewFile(uintptr(pair[0]), "ours")
	done := make(chan bool)
	go func() {
		hotwatchAgentServe(os.NewFile(uintptr(pair[1]), "theirs"))
		close(done)
	}()
	answers := bufio.NewScanner(ours)
	for request, error := range map[string]string{
		`{"Do":"dance"}`: `unknown request "dance"`,
		`{"Do":"hello"}`: "",
	} {
		var answer hotwatchAgentAnswer
		ours.WriteString(request + "\n")
		if !answers.Scan() || json.Unmarshal(answers.Bytes(), &answer) != nil || answer.Error != error {
			t.Errorf("%s: %s", request, answers.Text())
		}
		if error == "" && (answer.Pid != os.Getpid() || !answer.Writable) {
			t.Error(answers.Text())
		}
	}
	counter := uint64(41)
	ours.WriteString(`{"Do":"switch"}` + "\n")
	if !answers.Scan() {
		t.Fatal("no answer")
	}
	answer, err := hotwatchAgentDo(&hotwatchAgentRequest{
		Do: "effects", Counters: []uint64{uint64(uintptr(unsafe.Pointer(&counter)))}})
	if err != nil || answer.Counts[0] != 41 {
		t.Error(answer, err)
	}
	ours.Close()
	<-done
}
