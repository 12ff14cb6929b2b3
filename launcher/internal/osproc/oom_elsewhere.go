//go:build !linux

package osproc

// A MemoryKills cannot be had here.
type MemoryKills struct{}

// CountMemoryKills counts nothing.
func CountMemoryKills(bool) MemoryKills { return MemoryKills{} }

// Note has nothing to say.
func (MemoryKills) Note() string { return "" }
