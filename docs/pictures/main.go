// Command pictures draws the states of a pod, as the table in docs/lifecycle.md has them, into
// states.svg in the current directory:
//
//	cd docs/pictures && go run .
//
// timeline.svg beside it is of a real launch: podctl timeline NAME --svg timeline.svg.
package main

import (
	"log"
	"os"
)

func main() {
	if err := os.WriteFile("states.svg", states(), 0o644); err != nil {
		log.Fatal(err)
	}
}
