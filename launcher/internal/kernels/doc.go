// Package kernels has only tests: what a Linux kernel has or lacks. They check the
// table in docs/platforms.md of what is lost before which kernel, and are about the
// kernel that they run under: .ci/kernels runs them under several.
package kernels
