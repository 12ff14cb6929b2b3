// Package ending holds the tests of how a pod ends: whom Stop and Kill signal, whom they
// wait for, and what belongs to a pod. Its cases W… are from bug reports of other
// projects.
package ending
