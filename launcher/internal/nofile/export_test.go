package nofile

// The tests are another package: with what they import this one would be initialized
// later.

func First() (soft, hard uint64) { return first.soft, first.hard }

func OfChildOf(firstSoft, firstHard, soft, hard uint64) (ofChild uint64, known bool) {
	return limit{firstSoft, firstHard}.ofChild(limit{soft, hard}, true)
}
