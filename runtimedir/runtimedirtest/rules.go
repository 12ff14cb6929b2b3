package runtimedirtest

import "github.com/podlaunch/podlaunch/runtimedir/conformance"

// kit is the contract of runtimedir.Resolver, and of runtimedir.Baser, a
// sentence each rule. Those about one thing do as little as they can about the
// others, so that one fault breaks one rule.
var kit = conformance.Kit[*subject]{Rules: []conformance.Rule[*subject]{
	{Name: "exists", Says: "The directory exists when RuntimeDir returns, and can be used.", Run: withDir(exists)},
	{Name: "absolute", Says: "RuntimeDir returns an absolute path.", Run: withDir(absolute)},
	{Name: "private", Says: "Only the current user may enter the directory.", Run: withDir(private)},
	{Name: "narrows", Says: "A directory that is there already and that others may enter, if only its group, is closed to them, or refused with ErrInsecure.", Run: withDir(narrows)},
	{Name: "apart", Says: "Two names never share a directory.", Run: apart},
	{Name: "same", Says: "The same name always gives the same directory, in any working directory.", Run: withDir(same)},
	{Name: "keeps", Says: "RuntimeDir leaves alone what a directory holds.", Run: withDir(keeps)},
	{Name: "again", Says: "A directory that was removed exists again when RuntimeDir returns: a Resolver has no state of a launch.", Run: withDir(again)},
	{Name: "concurrent", Says: "RuntimeDir may be called from any number of goroutines.", Run: concurrent},
	{Name: "context", Says: "A RuntimeDir that ends because its context is done returns an error that wraps context.Cause(ctx).", Run: contextDone},
	{Name: "leaves-nothing", Says: "RuntimeDir and Base leave no descriptor and no goroutine behind, also when they fail.", Run: leavesNothing},

	{Name: "invalid-name", Says: "A name that ValidateName refuses is refused with an error that wraps ErrInvalidName.", Run: invalidName},
	{Name: "invalid-name-clean", Says: "Nothing is created for a name that cannot be used.", Run: invalidNameClean},
	{Name: "symlink", Says: "A symbolic link in the directory's place is refused with ErrInsecure, or replaced; what it leads to is left alone.", Run: symlink},
	{Name: "not-a-directory", Says: "Something else in the directory's place is refused with ErrInsecure or ErrUnavailable, or replaced.", Run: notADirectory},
	{Name: "foreign", Says: "A directory that belongs to somebody else is refused with ErrInsecure, or replaced.", Run: foreign},
	{Name: "open-base", Says: "When others may write to the directory that holds the pod's, that is taken away, or refused with ErrInsecure.", Run: openBase},
	{Name: "unavailable", Says: "When no directory can be had the error wraps ErrUnavailable (or ErrInsecure), the system's own error, and says which place was tried.", Run: unavailable},

	{Name: "base-resolved", Says: "Base is absolute, its symbolic links resolved.", Run: withBase(baseResolved)},
	{Name: "base-holds", Says: "Base is always the same, and every pod's directory is in it.", Run: baseHolds},
	{Name: "base-creates-nothing", Says: "Base creates nothing.", Run: withBase(baseCreatesNothing)},
	{Name: "base-error", Says: "An error of Base wraps ErrInsecure or ErrUnavailable.", Run: withBase(baseError)},
}}
