package conformance

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// descriptors returns a thing for each handle of this process that is a file (sockets and
// pipes are), a process or a job. Go's runtime makes handles of other types, for its threads.
func descriptors() (found []thing) {
	types := handleTypes()
	for _, h := range handles() {
		if name := types[h.typeIndex]; name != "" {
			id := fmt.Sprintf("handle %#x (%s)", h.handle, name)
			text := id
			if name == "file" {
				text += ": " + whatIs(windows.Handle(h.handle))
			}
			found = append(found, thing{id, text})
		}
	}
	return found
}

// whatIs says what a handle of a file leads to: the path of what is on a disk, else what
// kind of file it is.
func whatIs(h windows.Handle) string {
	kind, err := windows.GetFileType(h)
	switch {
	case err != nil:
		return err.Error()
	case kind == windows.FILE_TYPE_PIPE:
		return "a pipe or a socket"
	case kind != windows.FILE_TYPE_DISK:
		return fmt.Sprintf("of type %d", kind)
	}
	path := make([]uint16, 1<<10)
	n, err := windows.GetFinalPathNameByHandle(h, &path[0], uint32(len(path)), 0)
	if err != nil || int(n) > len(path) {
		return fmt.Sprintf("on a disk (%v)", err)
	}
	return windows.UTF16ToString(path[:n])
}

// openDescriptors counts them.
func openDescriptors() int { return len(descriptors()) }

// handleTypes returns the names of the types that descriptors counts, by the numbers that
// this release of Windows has for them.
var handleTypes = sync.OnceValue(func() map[uint16]string {
	file, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, windows.GetCurrentProcessId())
	if err != nil {
		panic(err)
	}
	defer windows.CloseHandle(process)
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		panic(err)
	}
	defer windows.CloseHandle(job)
	names := map[uintptr]string{file.Fd(): "file", uintptr(process): "process", uintptr(job): "job"}
	types := make(map[uint16]string)
	for _, h := range handles() {
		if name := names[h.handle]; name != "" {
			types[h.typeIndex] = name
		}
	}
	if len(types) != len(names) {
		panic(fmt.Sprintf("the system lists %d of the types of %d handles", len(types), len(names)))
	}
	return types
})

// A systemHandle is SYSTEM_HANDLE_TABLE_ENTRY_INFO_EX, which winternl.h does not have: see
// NtQuerySystemInformation in System Informer's phnt, ntexapi.h.
type systemHandle struct {
	object, process, handle uintptr
	access                  uint32
	_, typeIndex            uint16
	_, _                    uint32
}

// handles lists those of this process. GetProcessHandleCount is no help: it counts those of
// the runtime's threads too, and always says 0 under Wine 8.
func handles() (own []systemHandle) {
	buf := make([]uintptr, 1<<14)
	const size = unsafe.Sizeof(buf[0])
	for {
		err := windows.NtQuerySystemInformation(windows.SystemExtendedHandleInformation, unsafe.Pointer(&buf[0]), uint32(uintptr(len(buf))*size), nil)
		if err == nil {
			break
		}
		if !errors.Is(err, windows.STATUS_INFO_LENGTH_MISMATCH) || len(buf) > 1<<26 {
			panic(err)
		}
		buf = make([]uintptr, 2*len(buf))
	}
	// A count and a reserved word come first.
	all := unsafe.Slice((*systemHandle)(unsafe.Pointer(&buf[2])), int(buf[0]))
	for _, h := range all {
		if h.process == uintptr(windows.GetCurrentProcessId()) {
			own = append(own, h)
		}
	}
	return own
}
