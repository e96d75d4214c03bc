// The bytes of messages and values between processes. Common types are written as they are; everything else goes through
// gob, each value by itself, which makes it independent of what was sent before, and ten times as slow.

package hotplug

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// The first byte of a value.
const (
	tagNil byte = iota
	tagFalse
	tagTrue
	tagInt
	tagInt64
	tagFloat64
	tagString
	tagBytes
	tagDuration
	tagStrings
	tagList
	tagMap
	tagData
	tagGob
)

// cell carries a value of any type through gob.
type cell struct{ Value any }

// pen writes a message.
type pen struct{ text []byte }

func (p *pen) byte(b byte)     { p.text = append(p.text, b) }
func (p *pen) number(n int64)  { p.text = binary.AppendVarint(p.text, n) }
func (p *pen) bytes(b []byte)  { p.number(int64(len(b))); p.text = append(p.text, b...) }
func (p *pen) string(s string) { p.number(int64(len(s))); p.text = append(p.text, s...) }

func (p *pen) strings(all []string) {
	p.number(int64(len(all)))
	for _, s := range all {
		p.string(s)
	}
}

// value writes a value that crosses has let pass.
func (p *pen) value(value any) error {
	switch is := value.(type) {
	case nil:
		p.byte(tagNil)
	case bool:
		if is {
			p.byte(tagTrue)
		} else {
			p.byte(tagFalse)
		}
	case int:
		p.byte(tagInt)
		p.number(int64(is))
	case int64:
		p.byte(tagInt64)
		p.number(is)
	case float64:
		p.byte(tagFloat64)
		p.text = binary.BigEndian.AppendUint64(p.text, math.Float64bits(is))
	case string:
		p.byte(tagString)
		p.string(is)
	case []byte:
		p.byte(tagBytes)
		p.bytes(is)
	case time.Duration:
		p.byte(tagDuration)
		p.number(int64(is))
	case []string:
		p.byte(tagStrings)
		p.strings(is)
	case Data:
		p.byte(tagData)
		p.string(is.Type)
		p.bytes(is.Value)
	case []any:
		p.byte(tagList)
		p.number(int64(len(is)))
		for _, element := range is {
			if err := p.value(element); err != nil {
				return err
			}
		}
	case map[string]any:
		p.byte(tagMap)
		p.number(int64(len(is)))
		for name, element := range is {
			p.string(name)
			if err := p.value(element); err != nil {
				return err
			}
		}
	default:
		var buffer bytes.Buffer
		if err := gob.NewEncoder(&buffer).Encode(cell{value}); err != nil {
			return explainGob(err)
		}
		p.byte(tagGob)
		p.bytes(buffer.Bytes())
	}
	return nil
}

// errTorn is a message that ends too early, or says what it cannot.
var errTorn = errors.New("a message cannot be read: build host and plugin with the same version of the SDK")

// eye reads a message. After the first error everything is zero.
type eye struct {
	text []byte
	err  error
	// How many lists and maps it is inside of.
	depth int
}

// deepest is how deep values may be nested. What comes from a process that has gone wrong must not cost the host more
// than its message.
const deepest = 1000

// several is how much room is made for things before they are read.
func several(count int) int { return min(count, 1024) }

func (e *eye) take(n int64) []byte {
	if e.err != nil || n < 0 || n > int64(len(e.text)) {
		e.torn()
		return nil
	}
	taken := e.text[:n:n]
	e.text = e.text[n:]
	return taken
}

func (e *eye) torn() {
	if e.err == nil {
		e.err = errTorn
	}
	e.text = nil
}

func (e *eye) byte() byte {
	if b := e.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (e *eye) number() int64 {
	n, length := binary.Varint(e.text)
	if length <= 0 {
		e.torn()
		return 0
	}
	e.text = e.text[length:]
	return n
}

// count is how many things follow, each of which takes a byte or more.
func (e *eye) count() int {
	n := e.number()
	if n < 0 || n > int64(len(e.text)) {
		e.torn()
		return 0
	}
	return int(n)
}

// bytes are a copy: the frame they stand in is not kept.
func (e *eye) bytes() []byte  { return append([]byte{}, e.take(e.number())...) }
func (e *eye) string() string { return string(e.take(e.number())) }

func (e *eye) strings() []string {
	count := e.count()
	all := make([]string, 0, several(count))
	for ; count > 0 && e.err == nil; count-- {
		all = append(all, e.string())
	}
	return all
}

func (e *eye) value() any {
	switch e.byte() {
	case tagNil:
		return nil
	case tagFalse:
		return false
	case tagTrue:
		return true
	case tagInt:
		return int(e.number())
	case tagInt64:
		return e.number()
	case tagFloat64:
		if b := e.take(8); b != nil {
			return math.Float64frombits(binary.BigEndian.Uint64(b))
		}
		return nil
	case tagString:
		return e.string()
	case tagBytes:
		return e.bytes()
	case tagDuration:
		return time.Duration(e.number())
	case tagStrings:
		return e.strings()
	case tagData:
		return Data{Type: e.string(), Value: e.bytes()}
	case tagList:
		count := e.nest()
		all := make([]any, 0, several(count))
		for ; count > 0 && e.err == nil; count-- {
			all = append(all, e.value())
		}
		e.depth--
		return all
	case tagMap:
		count := e.nest()
		all := make(map[string]any, several(count))
		for ; count > 0 && e.err == nil; count-- {
			name := e.string()
			all[name] = e.value()
		}
		e.depth--
		return all
	case tagGob:
		return e.gob(e.take(e.number()))
	}
	e.torn()
	return nil
}

// nest is count one level deeper.
func (e *eye) nest() int {
	if e.depth++; e.depth > 2*deepest {
		e.torn()
	}
	return e.count()
}

func (e *eye) gob(text []byte) any {
	if e.err != nil {
		return nil
	}
	defer func() {
		if cause := recover(); cause != nil {
			e.err = fmt.Errorf("%w: %v", ErrCannotCross, cause)
		}
	}()
	var it cell
	if err := gob.NewDecoder(bytes.NewReader(text)).Decode(&it); err != nil {
		// What follows can still be read, but nobody gets this value.
		e.err = explainGob(err)
	}
	return it.Value
}

func explainGob(err error) error {
	text := strings.TrimPrefix(err.Error(), "gob: ")
	if strings.Contains(text, "not registered") {
		return fmt.Errorf("%w: %s: call `hotplug.RegisterType` for it in the host and in the plugin", ErrCannotCross, text)
	}
	return fmt.Errorf("%w: %s", ErrCannotCross, text)
}
