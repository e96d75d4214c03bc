// Streams: results that come one by one, from this process or from another.

package hotplug

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Stream is a result that comes value by value. A plugin returns one from InvokeFunc; the version stays in use until it
// has ended or is closed. Between processes at most some values are under way: who does not read holds up the producer.
// A stream is read by one goroutine; [Stream.Close] may be called by any.
type Stream struct {
	produce func(ctx context.Context, send func(any) error) error
	ctx     context.Context
	cancel  context.CancelFunc
	items   chan any

	mutex   sync.Mutex
	begun   bool
	ended   bool
	err     error
	finally []func()
	over    chan struct{}
}

// NewStream makes a stream of what `produce` sends. It runs in a goroutine of its own from the first Next on, and should
// end when its context does or when `send` returns an error; what it returns is what Next returns in the end.
func NewStream(produce func(ctx context.Context, send func(any) error) error) *Stream {
	ctx, cancel := context.WithCancel(context.Background())
	return &Stream{produce: produce, ctx: ctx, cancel: cancel, items: make(chan any), over: make(chan struct{})}
}

// Next returns the next value, [io.EOF] after the last one, or the error that ended the stream.
func (s *Stream) Next(ctx context.Context) (any, error) {
	s.begin()
	select {
	case item := <-s.items:
		return item, nil
	case <-s.over:
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if s.err != nil {
			return nil, s.err
		}
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the stream, whether or not everything was read. Further calls do nothing.
func (s *Stream) Close() {
	s.cancel()
	s.mutex.Lock()
	begun := s.begun
	s.begun = true
	s.mutex.Unlock()
	if !begun {
		s.end(context.Canceled)
	}
}

func (s *Stream) begin() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.begun {
		return
	}
	s.begun = true
	go func() {
		s.end(guard("", "stream", func() error { return s.produce(s.ctx, s.send) }))
	}()
}

func (s *Stream) send(item any) error {
	select {
	case s.items <- item:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// end is called once, after the producer or instead of it.
func (s *Stream) end(err error) {
	var of *Error
	if errors.As(err, &of) && of.Stack == nil {
		err = of.Cause
	}
	s.mutex.Lock()
	s.ended, s.err = true, err
	finally := s.finally
	s.mutex.Unlock()
	s.cancel()
	close(s.over)
	for _, run := range finally {
		run()
	}
}

// whenClosed has `run` called when the producer has returned; false if it has already.
func (s *Stream) whenClosed(run func()) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ended {
		return false
	}
	s.finally = append(s.finally, run)
	return true
}
