// What is sent between a host and a plugin's process: frames of a length, a kind, the number of a call, and a message.
// Both sides call and answer; each numbers its own calls.

package hotplug

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The kinds of frames. The first three go from who calls to who answers, the others back.
const (
	kindCall   byte = iota + 1 // begins a call
	kindCancel                 // nobody waits for the answer, or reads the stream, any more
	kindMore                   // so many values more of the stream may be sent
	kindAnswer                 // ends a call
	kindItem                   // a value of the stream that the call has returned
	kindEnd                    // the end of that stream
)

// message is what a frame carries.
type message interface{ write(*pen) error }

type callMessage struct {
	method string
	name   string
	params []any
	// In nanoseconds, 0 for none.
	timeout int64
	// Whether the function takes a context first.
	context bool
}

func (m callMessage) write(to *pen) error {
	to.string(m.method)
	to.string(m.name)
	to.number(m.timeout)
	if err := to.value(m.context); err != nil {
		return err
	}
	return to.value(m.params)
}

func (m *callMessage) read(from *eye) error {
	m.method, m.name, m.timeout = from.string(), from.string(), from.number()
	m.context, _ = from.value().(bool)
	m.params, _ = from.value().([]any)
	return from.err
}

type answerMessage struct {
	result any
	stream bool
	err    *wireError
}

func (m answerMessage) write(to *pen) error {
	if err := to.value(m.stream); err != nil {
		return err
	}
	if m.err == nil {
		to.byte(0)
		return to.value(m.result)
	}
	to.byte(1)
	to.string(m.err.plugin)
	to.string(m.err.step)
	to.string(m.err.text)
	to.strings(m.err.codes)
	to.bytes(m.err.stack)
	return nil
}

func (m *answerMessage) read(from *eye) error {
	m.stream, _ = from.value().(bool)
	if from.byte() == 0 {
		m.result = from.value()
		return from.err
	}
	m.err = &wireError{plugin: from.string(), step: from.string(), text: from.string(), codes: from.strings(), stack: from.bytes()}
	return from.err
}

type moreMessage struct{ count int64 }

func (m moreMessage) write(to *pen) error { to.number(m.count); return nil }

func (m *moreMessage) read(from *eye) error { m.count = from.number(); return from.err }

// header is how long what stands before the message is: the length of all that follows it, kind and number.
const header = 4 + 1 + 8

// largest is how long a message may be.
const largest = 64 << 20

func frame(kind byte, number uint64, carried message) ([]byte, error) {
	to := pen{make([]byte, header, 128)}
	if carried != nil {
		if err := carried.write(&to); err != nil {
			return nil, err
		}
	}
	if length := len(to.text) - header; length > largest {
		return nil, fmt.Errorf("%w: it takes %d bytes, and %d are the most: send it as a `hotplug.Stream`", ErrCannotCross, length, largest)
	}
	binary.BigEndian.PutUint32(to.text, uint32(len(to.text)-4))
	to.text[4] = kind
	binary.BigEndian.PutUint64(to.text[5:], number)
	return to.text, nil
}

func readFrame(from io.Reader) (kind byte, number uint64, text []byte, err error) {
	var head [header]byte
	if _, err = io.ReadFull(from, head[:]); err != nil {
		return 0, 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < 1+8 || length > largest+1+8 {
		return 0, 0, nil, fmt.Errorf("a frame of %d bytes", length)
	}
	text = make([]byte, length-1-8)
	_, err = io.ReadFull(from, text)
	return head[4], binary.BigEndian.Uint64(head[5:]), text, err
}
