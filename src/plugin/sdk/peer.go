// One end of the connection between a host and a plugin's process. Calls run beside each other; who reads the
// connection never waits for anything else, and nobody waits for a writer longer than for an answer.

package hotplug

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// errLost is the end of the connection, to calls under way.
var errLost = fmt.Errorf("%w: the connection has ended", ErrCrashed)

// window is how many values of a stream may be under way.
const window = 32

// request is a call that has arrived.
type request struct {
	method string
	name   string
	params []any
}

type peer struct {
	conn  net.Conn
	serve func(ctx context.Context, r request) (any, error)
	out   chan []byte
	// Closed when the connection has ended.
	done chan struct{}
	once sync.Once

	mutex   sync.Mutex
	next    uint64
	waiting map[uint64]chan reply
	reading map[uint64]chan reply
	serving map[uint64]*served
}

// reply is an answer, or a value or the end of a stream.
type reply struct {
	answerMessage
	end bool
	bad error
}

func newPeer(conn net.Conn, serve func(ctx context.Context, r request) (any, error)) *peer {
	p := &peer{
		conn: conn, serve: serve, out: make(chan []byte, 64), done: make(chan struct{}),
		waiting: map[uint64]chan reply{}, reading: map[uint64]chan reply{}, serving: map[uint64]*served{},
	}
	go p.write()
	go p.read()
	return p
}

func (p *peer) close() {
	p.once.Do(func() {
		close(p.done)
		p.conn.Close()
		p.mutex.Lock()
		defer p.mutex.Unlock()
		for _, call := range p.serving {
			call.cancel()
		}
	})
}

func (p *peer) write() {
	defer p.close()
	writer := bufio.NewWriter(p.conn)
	for {
		select {
		case <-p.done:
			return
		case text := <-p.out:
			if _, err := writer.Write(text); err != nil {
				return
			}
			if len(p.out) == 0 && writer.Flush() != nil {
				return
			}
		}
	}
}

func (p *peer) send(ctx context.Context, text []byte) error {
	select {
	case p.out <- text:
		return nil
	case <-p.done:
		return errLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell sends what nobody waits for; it gives up only with the connection.
func (p *peer) tell(kind byte, number uint64, carried message) error {
	text, err := frame(kind, number, carried)
	if err != nil {
		return err
	}
	return p.send(context.Background(), text)
}

// call calls a method of the other side.
func (p *peer) call(ctx context.Context, method, name string, params ...any) (any, error) {
	message := callMessage{method: method, name: name}
	if len(params) > 0 {
		if own, is := params[0].(context.Context); is {
			merged, cancel := merge(own, ctx)
			defer cancel()
			ctx, params, message.context = merged, params[1:], true
		}
	}
	for _, param := range params {
		if err := crosses(param); err != nil {
			return nil, err
		}
		message.params = append(message.params, param)
	}
	if deadline, is := ctx.Deadline(); is {
		if message.timeout = int64(time.Until(deadline)); message.timeout <= 0 {
			return nil, context.DeadlineExceeded
		}
	}
	p.mutex.Lock()
	p.next++
	number := p.next
	answer := make(chan reply, 1)
	p.waiting[number] = answer
	p.mutex.Unlock()
	defer p.forget(number)
	text, err := frame(kindCall, number, message)
	if err != nil {
		return nil, err
	}
	if err := p.send(ctx, text); err != nil {
		return nil, err
	}
	select {
	case got := <-answer:
		return p.result(number, got)
	case <-ctx.Done():
		go p.tell(kindCancel, number, nil)
		return nil, ctx.Err()
	case <-p.done:
		select {
		case got := <-answer:
			return p.result(number, got)
		default:
			return nil, errLost
		}
	}
}

func (p *peer) forget(number uint64) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.waiting, number)
}

func (p *peer) result(number uint64, got reply) (any, error) {
	if got.bad != nil {
		return nil, got.bad
	}
	if got.err != nil {
		return nil, fromWire(got.err)
	}
	if !got.stream {
		return got.result, nil
	}
	p.mutex.Lock()
	inbox := p.reading[number]
	p.mutex.Unlock()
	stream := NewStream(func(ctx context.Context, send func(any) error) error { return p.relay(ctx, number, inbox, send) })
	// One that was never read has to be ended over there all the same.
	stream.whenClosed(func() {
		p.mutex.Lock()
		_, open := p.reading[number]
		delete(p.reading, number)
		p.mutex.Unlock()
		if open {
			go p.tell(kindCancel, number, nil)
		}
	})
	return stream, nil
}

// relay hands on the values of a stream of the other side.
func (p *peer) relay(ctx context.Context, number uint64, inbox chan reply, send func(any) error) error {
	if err := p.tell(kindMore, number, moreMessage{window}); err != nil {
		return err
	}
	for taken := int64(0); ; {
		var got reply
		select {
		case got = <-inbox:
		default:
			select {
			case got = <-inbox:
			case <-ctx.Done():
				return ctx.Err()
			case <-p.done:
				return errLost
			}
		}
		if got.end || got.bad != nil {
			p.mutex.Lock()
			delete(p.reading, number)
			p.mutex.Unlock()
		}
		if got.bad != nil {
			return got.bad
		}
		if got.end {
			return fromWire(got.err)
		}
		if err := send(got.result); err != nil {
			return err
		}
		if taken++; taken == window/2 {
			if err := p.tell(kindMore, number, moreMessage{taken}); err != nil {
				return err
			}
			taken = 0
		}
	}
}

func (p *peer) read() {
	defer p.close()
	reader := bufio.NewReader(p.conn)
	for {
		kind, number, text, err := readFrame(reader)
		if err != nil {
			return
		}
		p.take(kind, number, text)
	}
}

func (p *peer) take(kind byte, number uint64, text []byte) {
	switch kind {
	case kindCall:
		ctx, cancel := context.WithCancel(context.Background())
		call := &served{cancel: cancel, more: make(chan struct{}, 2*window)}
		p.mutex.Lock()
		p.serving[number] = call
		p.mutex.Unlock()
		go p.answer(ctx, call, number, text)
	case kindCancel, kindMore:
		p.mutex.Lock()
		call := p.serving[number]
		p.mutex.Unlock()
		if call == nil {
			return
		}
		if kind == kindCancel {
			call.cancel()
			return
		}
		var more moreMessage
		if more.read(&eye{text: text}) == nil {
			for more.count = min(more.count, 2*window); more.count > 0; more.count-- {
				select {
				case call.more <- struct{}{}:
				default:
				}
			}
		}
	case kindAnswer, kindItem, kindEnd:
		got := reply{end: kind == kindEnd}
		got.bad = got.answerMessage.read(&eye{text: text})
		p.mutex.Lock()
		inbox := p.reading[number]
		if kind == kindAnswer {
			inbox = p.waiting[number]
			if got.stream && inbox != nil {
				p.reading[number] = make(chan reply, window+1)
			}
		}
		p.mutex.Unlock()
		if inbox == nil {
			if got.stream {
				go p.tell(kindCancel, number, nil)
			}
			return
		}
		select {
		case inbox <- got:
		default:
			// More values than were asked for.
			p.close()
		}
	}
}

// merge ends with the first of two contexts.
func merge(one, other context.Context) (context.Context, context.CancelFunc) {
	merged, cancel := context.WithCancel(one)
	stop := context.AfterFunc(other, cancel)
	if deadline, is := other.Deadline(); is {
		bounded, end := context.WithDeadline(merged, deadline)
		return bounded, func() { end(); stop(); cancel() }
	}
	return merged, func() { stop(); cancel() }
}
