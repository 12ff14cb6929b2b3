package readiness

// A Fact is something that a probe learns of a pod besides its endpoint: the URL
// of Chromium's DevTools, the display of an X server. It is the key to a value of
// type T. Make one with [NewFact], as a variable of a package; one Fact serves any
// number of launches at once.
//
//	var devTools = readiness.NewFact[string]("the URL of DevTools")
//
//	readiness.Pattern{
//		Regexp: regexp.MustCompile(`^DevTools listening on (?P<value>ws://(?P<address>[^/]+)\S+)`),
//		Value:  devTools,
//	}
//
//	url, ok := devTools.Of(pod.Facts())
//
// The zero Fact is none: setting it does nothing.
type Fact[T any] struct{ name *string }

// NewFact returns a Fact unlike every other. The name is for people.
func NewFact[T any](name string) Fact[T] { return Fact[T]{&name} }

// Set notes the value v for the pod of t. A probe may call it while its [Probe.Wait]
// runs, from any goroutine; the last value counts. It does nothing if t has no Facts.
func (f Fact[T]) Set(t Target, v T) {
	if f.name == nil || t.Facts == nil {
		return
	}
	t.Facts.mu.Lock()
	defer t.Facts.mu.Unlock()
	if t.Facts.known == nil {
		t.Facts.known = make(map[any]any)
	}
	t.Facts.known[f] = v
}

// Of returns the value in facts, which may be nil; ok is false if there is none.
func (f Fact[T]) Of(facts *Facts) (v T, ok bool) {
	if facts == nil {
		return v, false
	}
	facts.mu.Lock()
	defer facts.mu.Unlock()
	v, ok = facts.known[f].(T)
	return v, ok
}

// String returns the name.
func (f Fact[T]) String() string {
	if f.name == nil {
		return "no fact"
	}
	return *f.name
}
