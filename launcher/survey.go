package launcher

import "context"

// mostAsked is how many pods List deals with at a time. One that hangs takes seconds, so
// more of them shorten a list of many that hang. But each is a connection to the pod, or
// to its engine, which allows only so many from one address (Nomad 100). And pods that are
// asked at the same time share the processors while each has a second to answer.
const mostAsked = 16

// A survey asks about many things, up to mostAsked at a time. Each question begins with a
// look at files. A survey belongs to one goroutine, which calls answer and then end; end
// joins the goroutines of the questions, one for each that is under way.
type survey[T any] struct {
	ask    func(ctx context.Context, number int, first *look) (T, error)
	looks  *looks
	ctx    context.Context
	cancel context.CancelFunc
	number int                // of all questions
	begun  int                // of these
	under  int                // of these, how many are under way
	came   chan answer[T]     // has room for the answers to all that are under way
	early  map[int]outcome[T] // answers that came before their turn
}

// An answer is the outcome of the question with that number.
type answer[T any] struct {
	number int
	outcome[T]
}

// newSurvey returns a survey of number questions, which has not begun. ask may be called
// from several goroutines at once. It returns soon after its ctx is done.
func newSurvey[T any](ctx context.Context, looks *looks, number int, ask func(ctx context.Context, number int, first *look) (T, error)) *survey[T] {
	s := &survey[T]{ask: ask, looks: looks, number: number, came: make(chan answer[T], mostAsked), early: make(map[int]outcome[T])}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// end cancels what is under way, and waits until it has returned.
func (s *survey[T]) end() {
	s.cancel()
	for ; s.under > 0; s.under-- {
		<-s.came
	}
}

// answer returns the answer to the question with that number. It begins with further
// questions while it waits. A panic of ask continues here. The error is errHung if the
// question could not begin because all looks hang.
func (s *survey[T]) answer(number int) (v T, err error) {
	for {
		if o, ok := s.early[number]; ok {
			delete(s.early, number)
			if o.crash != nil {
				o.crash.resume()
			}
			return o.value, o.err
		}
		// Only this goroutine begins questions, so that they begin in their order. A nil
		// channel is never ready.
		var room chan struct{}
		var stuck, done <-chan struct{}
		if s.begun < s.number && s.under < mostAsked {
			room = s.looks.room
		}
		if s.begun == number {
			stuck, done = s.looks.stuck, s.ctx.Done()
		}
		select {
		case a := <-s.came:
			s.under--
			s.early[a.number] = a.outcome
		case room <- struct{}{}:
			s.begin(&look{of: s.looks})
		case <-stuck:
			return v, errHung
		case <-done:
			return v, context.Cause(s.ctx)
		}
	}
}

// begin begins with the next question. There is room for its first look.
func (s *survey[T]) begin(first *look) {
	number := s.begun
	s.begun++
	s.under++
	go func() {
		done := make(chan outcome[T], 1)
		send(func() (T, error) { return s.ask(s.ctx, number, first) }, done)
		s.came <- answer[T]{number, <-done}
	}()
}
