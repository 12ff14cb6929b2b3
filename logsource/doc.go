// Package logsource gives a pod somewhere to write, and reads it back while
// the pod runs. One verb does it: [Source.Open] prepares the log of one launch
// before its process starts.
//
// [File] is the default, and its zero value works: stderr.log in the pod's
// runtime directory, which the pod writes straight into. There is no pipe, so
// nothing of the pod's output depends on its launcher: when the launcher dies
// the pod writes on, and a later program can read what it wrote.
//
// # Following
//
// A follower of a [File] reads what is new and then waits for the file to
// change; it does not poll. All followers of a program share one watcher, which
// starts with the first of them and goes away soon after the last. If no watcher
// can be had, the follower polls instead (fs.inotify.max_user_instances is 128 by
// default, for all of a user's programs together). Where events are lost (some
// network filesystems), a slow poll finds the changes.
//
// # Framing
//
// [Lines] turns any reader into lines, in memory that does not grow with what
// is read. A line counts once its newline is there: half of one is never taken
// for the whole.
package logsource
