// Package signs has only tests: those of package launcher in which a pod shows
// in some other way than by default that it lives, through real launches. They are
// apart from the others so that each package's tests stay short.
package signs
