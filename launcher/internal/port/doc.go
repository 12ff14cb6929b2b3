// Package port has only tests: one for each row of the table of what the original
// does and this library does like it, or otherwise (docs/internals/port.md), through real
// launches. They are apart from the others so that each package's tests stay short.
package port
