// Package lifetime has the tests of pods that end with the program that has launched
// them (launcher.WithParent), and of those that do not.
package lifetime
