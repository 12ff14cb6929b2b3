//go:build unix

// Command pod is the fake pod: a program that does, step by step, what its
// arguments say. See package launchertest for the steps, and package podrig for
// how tests launch it.
package main

import "github.com/podlaunch/podlaunch/launcher/internal/fakepod"

func main() { fakepod.Main() }
