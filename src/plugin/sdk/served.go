// The other half of a peer: it runs the calls of the other side, and sends what they answer.

package hotplug

import (
	"context"
	"errors"
	"io"
	"time"
)

// served is a call of the other side.
type served struct {
	cancel context.CancelFunc
	more   chan struct{}
}

// answer serves one call of the other side.
func (p *peer) answer(ctx context.Context, call *served, number uint64, text []byte) {
	defer func() {
		p.mutex.Lock()
		delete(p.serving, number)
		p.mutex.Unlock()
		call.cancel()
	}()
	result, err := p.run(ctx, text)
	message := answerMessage{}
	stream, streams := result.(*Stream)
	if err == nil && !streams {
		message.result = result
		err = crosses(result)
	}
	if message.stream = streams && err == nil; err != nil {
		message = answerMessage{err: toWire(err)}
	}
	if err := p.tell(kindAnswer, number, message); err != nil && !errors.Is(err, errLost) {
		p.tell(kindAnswer, number, answerMessage{err: toWire(err)})
	}
	if message.stream {
		p.pump(ctx, call, number, stream)
	}
}

func (p *peer) run(ctx context.Context, text []byte) (any, error) {
	var message callMessage
	if err := message.read(&eye{text: text}); err != nil {
		return nil, err
	}
	if message.timeout > 0 {
		// A stream that is returned outlives the call, and its context with it.
		bounded, cancel := context.WithTimeout(ctx, time.Duration(message.timeout))
		defer cancel()
		ctx = bounded
	}
	r := request{method: message.method, name: message.name}
	if message.context {
		r.params = append(r.params, ctx)
	}
	r.params = append(r.params, message.params...)
	return p.serve(ctx, r)
}

// pump sends the values of a stream as they are asked for.
func (p *peer) pump(ctx context.Context, call *served, number uint64, stream *Stream) {
	defer stream.Close()
	for {
		select {
		case <-call.more:
		case <-ctx.Done():
			return
		}
		item, err := stream.Next(ctx)
		if err == nil {
			if err = crosses(item); err == nil {
				err = p.tell(kindItem, number, answerMessage{result: item})
			}
		}
		if err != nil {
			end := answerMessage{}
			if !errors.Is(err, io.EOF) {
				end.err = toWire(err)
			}
			p.tell(kindEnd, number, end)
			return
		}
	}
}
