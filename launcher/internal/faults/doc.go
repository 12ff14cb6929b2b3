// Package faults has only tests: those of package launcher that inject the parts
// B (the machine), D (the launching program) and E (a pod that was ready) of the
// fault catalogue, through real launches. Parts A (bad input) and C (the pod) are
// in package launcher; what is about one name having one pod is in package
// onepod. They are apart so that each package's tests stay short.
package faults
