package ownership

import (
	"errors"
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// Succeed records another process than Start, at once with the answer. Of what it replaces,
// and of what an earlier launcher has left half written, nothing stays.
func TestSucceed(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		p, record := openPlace(t)
		c, err := p.Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		us, err := osproc.Identify(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		first := us
		first.PID++
		err = errors.Join(c.Intend(Intent{Launch: uuid.New(), Dir: "/run/\xff"}), c.Start(first, nil), os.WriteFile(record+".new", []byte("{"), 0o600))
		if err != nil {
			t.Fatal(err)
		}
		if deleted {
			if err := os.Remove(record); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Succeed(us, &Digests{Command: "c"}, Answer{Ready: true, Network: "unix", Address: "/run/\xff/sock"}); err != nil {
			t.Fatal(err)
		}
		c.Settle()
		r, err := p.Running()
		if err != nil || r.Identity != us || r.Address != "/run/\xff/sock" || r.Dir != "/run/\xff" || !r.Ready || r.Digests == nil || *r.Digests != (Digests{Command: "c"}) {
			t.Errorf("the record is %+v, %v", r, err)
		}
		if _, err := os.Lstat(record + ".new"); !deleted && !isMissing(err) {
			t.Errorf("there is another record beside it: %v", err)
		}
		c.Close()
	}
}

// A launch that was given up on leaves the record as it was.
func TestSucceedAsksBefore(t *testing.T) {
	p, record := openPlace(t)
	c, err := p.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	us, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	first := us
	first.PID++
	if err := errors.Join(c.Intend(Intent{Launch: uuid.New()}), c.Start(first, nil)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	givenUp := errors.New("given up on")
	c.AskBefore(func() error { return givenUp })
	if err := c.Succeed(us, nil, Answer{Ready: true}); !errors.Is(err, givenUp) {
		t.Errorf("Succeed returned %v", err)
	}
	if after, err := os.ReadFile(record); string(after) != string(before) || err != nil {
		t.Errorf("the record was %q and is %q (%v)", before, after, err)
	}
	if _, err := os.Lstat(record + ".new"); !isMissing(err) {
		t.Errorf("there is another record beside it: %v", err)
	}
	if _, err := c.Abandon(t.Context(), false); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(record); !isMissing(err) {
		t.Errorf("the record is still there: %v", err)
	}
}
