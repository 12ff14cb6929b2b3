package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// An option is a row of a command's table of flags.
type option struct {
	name, short string
	value       any    // a pointer; what it points to is the default
	usage       string // a word in backquotes names the value
	complete    cobra.CompletionFunc
}

// addFlags gives cmd the flags of a table.
func addFlags(cmd *cobra.Command, table []option) {
	flags := cmd.Flags()
	for _, f := range table {
		switch v := f.value.(type) {
		case *bool:
			flags.BoolVarP(v, f.name, f.short, *v, f.usage)
		case *int:
			flags.IntVarP(v, f.name, f.short, *v, f.usage)
		case *string:
			flags.StringVarP(v, f.name, f.short, *v, f.usage)
		case *[]string:
			flags.StringArrayVarP(v, f.name, f.short, *v, f.usage)
		case *time.Duration:
			flags.DurationVarP(v, f.name, f.short, *v, f.usage)
		default:
			panic(fmt.Sprintf("flag --%s has a value of type %T", f.name, f.value))
		}
		if f.complete == nil {
			f.complete = cobra.NoFileCompletions
		}
		cmd.RegisterFlagCompletionFunc(f.name, f.complete)
	}
}

// oneOf completes one of words.
func oneOf(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// directories and files complete what their names say.
var (
	directories = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	files       = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
)

// duration is what the flag called name says, as a field of Launcher has it:
// there 0 is the default, and what is negative is "none".
func duration(name string, d time.Duration, cmd *cobra.Command) (time.Duration, error) {
	switch {
	case d < 0:
		return 0, usageError(cmd, fmt.Errorf("--%s is %v: it cannot be negative", name, d))
	case d == 0:
		return -1, nil
	}
	return d, nil
}
