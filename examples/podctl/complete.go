package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
)

// completeNames completes the name of a pod in one of states, or in any, that was
// not given yet. The state is the description that some shells show.
func (c *cli) completeNames(states ...launcher.State) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !strings.Contains(cmd.Use, "NAME...") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		l, err := c.launcher()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []cobra.Completion
		for s, err := range allPods(cmd.Context(), &l) {
			if err == nil && !slices.Contains(args, s.Name) && (len(states) == 0 || slices.Contains(states, s.State)) {
				names = append(names, cobra.CompletionWithDesc(s.Name, string(s.State)))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeLaunch completes the name of a pod that could be started, and then
// files, for its program. Whether that comes after a -- is not to be had while
// completing: cobra puts one of its own at the end.
func (c *cli) completeLaunch(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return c.completeNames(launcher.StateGone, stateAbandoned)(cmd, args, word)
}
