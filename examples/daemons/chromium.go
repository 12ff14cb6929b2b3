package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

var chromium = daemon{
	name:     "chromium",
	about:    "headless, says on its standard error where it can be driven",
	pkg:      "chromium",
	programs: []string{"chromium", "chromium-browser", "google-chrome"},
	launch:   launchChromium,
	request:  browserVersion,
	answer:   `^GET /json/version: \S*Chrom\S*/\d+`,
	exit:     "exit status 0",
	faults: []fault{{
		what: "its profile is locked by another machine, as after a copy or in a new container",
		breaks: func(p *place, _ *launcher.Spec) error {
			profile := filepath.Join(p.data, "profile")
			if err := os.Mkdir(profile, 0o700); err != nil {
				return err
			}
			return os.Symlink("elsewhere-12345", filepath.Join(profile, "SingletonLock"))
		},
		complaint: `[Pp]rofile appears to be in use by another [\w ]+ process \(12345\) on another computer \(elsewhere\)`,
	}},
	ready: "With `--remote-debugging-port=0` it chooses a port, and the line tells the address. It then takes a " +
		"while until it answers there. It falls back to ::1 if it must, so take the host from the line too.",
	stops: "SIGTERM has the browser end its other processes and exit with status 0. With the zero `KillMode` all of them " +
		"get it at once, and the browser, which loses its children while it closes, then crashes every few times " +
		"(`signal: illegal instruction`): hence `KillMixed`. Two crash handlers in sessions of their own end by " +
		"themselves a moment after the browser; `Pod.Stop` waits for them. (Do not turn them off with " +
		"`--disable-crashpad-for-testing`: the network service then crashes, again and again.)",
	notes: "Its standard error is full of complaints about D-Bus and graphics, which mean nothing. `--no-sandbox` is " +
		"there because root and most containers cannot have the sandbox: leave it out if yours can, and never show " +
		"such a browser a page that you do not trust. `HOME` and `TMPDIR` keep what it writes beside its profile in one place.",
}

func launchChromium(p *place) (launcher.Launcher, launcher.Spec) {
	return launcher.Launcher{
			Command: launcher.Exec(find("chromium", "chromium-browser", "google-chrome"),
				"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
				"--disable-background-networking", "--disable-component-update", "--disable-sync",
				"--remote-debugging-port=0", "--user-data-dir="+filepath.Join(p.data, "profile")),
			Ready: readiness.Sequence{
				readiness.Pattern{Regexp: regexp.MustCompile(`^DevTools listening on ws://(?P<address>[^/]+)/`)},
				readiness.HTTP{URL: "/json/version"},
			},
		}, launcher.Spec{
			Name:     "chromium",
			Env:      append(os.Environ(), "HOME="+p.data, "TMPDIR="+p.data),
			KillMode: launcher.KillMixed,
		}
}

// browserVersion asks which browser it is.
func browserVersion(ctx context.Context, pod *launcher.Pod) (string, error) {
	const path = "/json/version"
	body, err := get(ctx, pod, path)
	if err != nil {
		return "", err
	}
	var version struct{ Browser string }
	err = json.Unmarshal([]byte(body), &version)
	return "GET " + path + ": " + version.Browser, err
}
