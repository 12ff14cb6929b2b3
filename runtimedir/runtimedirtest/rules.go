package runtimedirtest

// rules are the contract of runtimedir.Resolver, and of runtimedir.Baser, a
// sentence each. Those about one thing do as little as they can about the
// others, so that one fault breaks one rule.
var rules = []rule{
	{"exists", "The directory exists when RuntimeDir returns, and can be used.", exists},
	{"absolute", "RuntimeDir returns an absolute path.", absolute},
	{"private", "Only the current user may enter the directory.", private},
	{"narrows", "A directory that is there already and that others may enter is closed to them, or refused with ErrInsecure.", narrows},
	{"apart", "Two names never share a directory.", apart},
	{"same", "The same name always gives the same directory.", same},
	{"keeps", "RuntimeDir leaves alone what a directory holds.", keeps},
	{"again", "A directory that was removed exists again when RuntimeDir returns: a Resolver has no state of a launch.", again},
	{"concurrent", "RuntimeDir may be called from any number of goroutines.", concurrent},
	{"context", "A RuntimeDir that ends because its context is done returns an error that wraps context.Cause(ctx).", contextDone},
	{"leaves-nothing", "RuntimeDir leaves no descriptor and no goroutine behind.", leavesNothing},

	{"invalid-name", "A name that ValidateName refuses is refused with an error that wraps ErrInvalidName.", invalidName},
	{"invalid-name-clean", "Nothing is created for a name that cannot be used.", invalidNameClean},
	{"symlink", "A symbolic link in the directory's place is refused with ErrInsecure, or replaced; what it leads to is left alone.", symlink},
	{"not-a-directory", "Something else in the directory's place is refused with ErrInsecure or ErrUnavailable, or replaced.", notADirectory},
	{"foreign", "A directory that belongs to somebody else is refused with ErrInsecure, or replaced.", foreign},
	{"open-base", "When others may write to the directory that holds the pod's, that is taken away, or refused with ErrInsecure.", openBase},
	{"unavailable", "When no directory can be had the error wraps ErrUnavailable (or ErrInsecure), the system's own error, and says which place was tried.", unavailable},

	{"base-resolved", "Base is absolute, its symbolic links resolved.", baseResolved},
	{"base-holds", "Base is always the same, and every pod's directory is in it.", baseHolds},
	{"base-creates-nothing", "Base creates nothing.", baseCreatesNothing},
	{"base-error", "An error of Base wraps ErrInsecure or ErrUnavailable.", baseError},
}
