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

type callMessage struct {
	Method string
	Name   string
	Params []cell
	// In nanoseconds, 0 for none.
	Timeout int64
	// Whether the function takes a context first.
	Context bool
}

type answerMessage struct {
	Result cell
	Stream bool
	Err    *wireError
}

type moreMessage struct{ Count int }

// header is how long what stands before the message is: the length of all that follows it, kind and number.
const header = 4 + 1 + 8

func frame(kind byte, number uint64, message any) ([]byte, error) {
	var text []byte
	if message != nil {
		var err error
		if text, err = encode(message); err != nil {
			return nil, err
		}
	}
	all := make([]byte, header, header+len(text))
	binary.BigEndian.PutUint32(all, uint32(1+8+len(text)))
	all[4] = kind
	binary.BigEndian.PutUint64(all[5:], number)
	return append(all, text...), nil
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
