package remaster

// later is a value that is worked out beside other work.
type later[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// begin starts to work out a value.
func begin[T any](do func() (T, error)) *later[T] {
	l := &later[T]{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.value, l.err = do()
	}()
	return l
}

// wait returns the value once it is there. Of nil, which was never begun, it is the zero value.
func (l *later[T]) wait() (value T, err error) {
	if l == nil {
		return value, nil
	}
	<-l.done
	return l.value, l.err
}
