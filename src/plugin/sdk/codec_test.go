// Messages between processes: what is written is read, and what is torn or garbage is an error and nothing worse.

package hotplug

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand"
	"net"
	"reflect"
	"testing"
	"time"
)

var values = []any{
	nil, true, false, 0, -1, int64(1) << 40, 1.5, "", "text", []byte{}, []byte{1, 2}, time.Second, []string{"a", ""},
	Data{Type: "T", Value: []byte("{}")}, []any{}, []any{1, []any{"x", nil}}, map[string]any{"a": []any{1}, "": nil},
	map[string]int{"through gob": 1}, uint8(3), time.Unix(1, 2).UTC(),
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, value := range values {
		var to pen
		if err := to.value(value); err != nil {
			t.Fatal(err)
		}
		from := eye{text: to.text}
		if got := from.value(); !reflect.DeepEqual(got, value) || from.err != nil || len(from.text) != 0 {
			t.Errorf("%#v became %#v, %v", value, got, from.err)
		}
	}
}

func TestTornMessagesAreErrors(t *testing.T) {
	var to pen
	message := callMessage{method: "m", name: "n", params: values, timeout: 5}
	if err := message.write(&to); err != nil {
		t.Fatal(err)
	}
	for end := range to.text {
		var got callMessage
		if got.read(&eye{text: to.text[:end]}) == nil {
			t.Fatalf("%d bytes of %d are a message", end, len(to.text))
		}
	}
	random := rand.New(rand.NewSource(1))
	for i := 0; i < 2000; i++ {
		text := append([]byte(nil), to.text...)
		for n := random.Intn(4); n >= 0; n-- {
			text[random.Intn(len(text))] = byte(random.Int())
		}
		(&callMessage{}).read(&eye{text: text})
		(&answerMessage{}).read(&eye{text: text})
	}
	// Lists in lists that each promise as much as there is.
	deep := make([]byte, 1<<20)
	for i := 0; i < len(deep); i += 2 {
		deep[i], deep[i+1] = tagList, 2
	}
	if from := (eye{text: deep}); from.value() == nil || from.err == nil {
		t.Error("nested without end")
	}
}

func TestAPeerThatGoesWrongEndsTheConnection(t *testing.T) {
	tooLong := binary.BigEndian.AppendUint32(nil, 1<<31)
	stray, _ := frame(kindAnswer, 99, answerMessage{result: 1})
	for name, row := range map[string]struct {
		text []byte
		ends bool
	}{
		"too long":                {append(tooLong, make([]byte, 9)...), true},
		"too short":               {make([]byte, 13), true},
		"an answer to nobody":     {stray, false},
		"a kind that is none":     {[]byte{0, 0, 0, 9, 77, 0, 0, 0, 0, 0, 0, 0, 1}, false},
		"a call that is none":     {[]byte{0, 0, 0, 9, kindCall, 0, 0, 0, 0, 0, 0, 0, 1}, false},
		"more of what is not":     {[]byte{0, 0, 0, 9, kindMore, 0, 0, 0, 0, 0, 0, 0, 1}, false},
		"a value of no stream":    {[]byte{0, 0, 0, 9, kindItem, 0, 0, 0, 0, 0, 0, 0, 1}, false},
		"the end of a connection": {nil, true},
	} {
		ours, theirs := net.Pipe()
		p := newPeer(ours, func(context.Context, request) (any, error) { return nil, nil })
		go func() {
			// What it answers is read, so that it is not held up.
			for text := make([]byte, 1024); ; {
				if _, err := theirs.Read(text); err != nil {
					return
				}
			}
		}()
		if row.text == nil {
			theirs.Close()
		} else if _, err := theirs.Write(row.text); err != nil {
			t.Error(name, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		_, err := p.call(ctx, "m", "n")
		cancel()
		if errors.Is(err, errLost) != row.ends {
			t.Errorf("%s: %v", name, err)
		}
		p.close()
		theirs.Close()
	}
}
