package osproc

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// treeOf returns the process with the Identity and all that descend from it by parents that
// live: a process that has lost its parent is not found. A process keeps the number
// of its parent, which may be another's by now: a child is no older than its parent.
func treeOf(root Identity) ([]Identity, error) {
	if err := root.Check(); err != nil {
		return nil, err
	}
	children, err := snapshot()
	if err != nil {
		return nil, err
	}
	tree := []Identity{root}
	for i := 0; i < len(tree); i++ {
		for _, pid := range children[tree[i].PID] {
			id, err := Identify(pid)
			switch {
			case errors.Is(err, ErrGone), err == nil && id.Start < tree[i].Start:
				continue
			case err != nil:
				return nil, err
			}
			if !slices.Contains(tree, id) && id.Check() == nil {
				tree = append(tree, id)
			}
		}
	}
	return tree, nil
}

// snapshot returns the numbers of the children of each process.
func snapshot() (map[int][]int, error) {
	h, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("list the processes of this machine: %w", err)
	}
	defer windows.CloseHandle(h)
	children := make(map[int][]int)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(h, &entry); err == nil; err = windows.Process32Next(h, &entry) {
		children[int(entry.ParentProcessID)] = append(children[int(entry.ParentProcessID)], int(entry.ProcessID))
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return nil, fmt.Errorf("list the processes of this machine: %w", err)
	}
	return children, nil
}
