package winetest_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// patience is how long something may take that takes milliseconds.
const patience = 20 * time.Second

// others returns the pids of the processes of this program's file, without its own.
func others(t testing.TB) (pids []int) {
	t.Helper()
	own := imageOf(uint32(os.Getpid()))
	h, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(h)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(h, &entry); err == nil; err = windows.Process32Next(h, &entry) {
		if int(entry.ProcessID) != os.Getpid() && own != "" && strings.EqualFold(imageOf(entry.ProcessID), own) {
			pids = append(pids, int(entry.ProcessID))
		}
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		t.Fatal(err)
	}
	return pids
}

// imageOf returns the path of the program of a process; "" if it has ended.
func imageOf(pid uint32) string {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, pid)
	if err != nil {
		return ""
	}
	defer windows.CloseHandle(h)
	if event, err := windows.WaitForSingleObject(h, 0); err != nil || event == windows.WAIT_OBJECT_0 {
		return ""
	}
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(h, 0, &buf[0], &n); err != nil {
		return ""
	}
	return windows.UTF16ToString(buf[:n])
}

// awaitOthers waits until there are so many.
func awaitOthers(t testing.TB, want int) []int {
	t.Helper()
	var pids []int
	if !conformance.Eventually(patience, func() bool { pids = others(t); return len(pids) == want }) {
		t.Fatalf("%d processes are there, %v, want %d", len(pids), pids, want)
	}
	return pids
}

// threads returns how many threads this process has.
func threads(t testing.TB) (count int) {
	t.Helper()
	h, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(h)
	entry := windows.ThreadEntry32{Size: uint32(unsafe.Sizeof(windows.ThreadEntry32{}))}
	for err = windows.Thread32First(h, &entry); err == nil; err = windows.Thread32Next(h, &entry) {
		if int(entry.OwnerProcessID) == os.Getpid() {
			count++
		}
	}
	return count
}

// kill ends a process alone, and at once.
func kill(t testing.TB, pid int) {
	t.Helper()
	h, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(h)
	if err := windows.TerminateProcess(h, 1); err != nil {
		t.Fatal(err)
	}
}

// handles returns how many handles of any type this process has. GetProcessHandleCount says
// 0 under Wine 8.
func handles(t testing.TB) (count int) {
	t.Helper()
	buf := make([]uintptr, 1<<16) // a count, a word, and five words for each handle (winternl.h)
	size := unsafe.Sizeof(buf[0])
	for {
		err := windows.NtQuerySystemInformation(windows.SystemExtendedHandleInformation, unsafe.Pointer(&buf[0]), uint32(uintptr(len(buf))*size), nil)
		if err == nil {
			break
		}
		if !errors.Is(err, windows.STATUS_INFO_LENGTH_MISMATCH) {
			t.Fatal(err)
		}
		buf = make([]uintptr, 2*len(buf))
	}
	const words = 5
	for i := range int(buf[0]) {
		if buf[2+words*i+1] == uintptr(os.Getpid()) {
			count++
		}
	}
	return count
}
