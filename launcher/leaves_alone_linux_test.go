package launcher_test

import (
	"errors"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// What a launch, an end and a look at pods need, they do not change in the program that calls
// them: it is code of others that has to live with it.
func TestLeavesItsCallerAlone(t *testing.T) {
	kit := conformance.Kit[*rig]{Rules: []conformance.Rule[*rig]{
		{Name: "launch", Says: "A pod is launched, and stopped.", Run: func(r *rig) error {
			return r.Launch(podrig.Alice).Stop(r.T.Context())
		}},
		{Name: "fails", Says: "A launch fails, and its pod is ended.", Run: func(r *rig) error {
			r.L.Command = podrig.Script("spawn hang", "exit 3")
			if _, err := r.L.Launch(r.T.Context(), podrig.Alice); !errors.Is(err, launcher.ErrExitedEarly) {
				return err
			}
			return nil
		}},
		{Name: "by name", Says: "A pod is listed, attached to and removed by its name.", Run: func(r *rig) error {
			r.Launch(podrig.Alice)
			for _, err := range r.L.List(r.T.Context()) {
				if err != nil {
					return err
				}
			}
			if _, err := r.L.Attach(r.T.Context(), podrig.Alice.Name); err != nil {
				return err
			}
			return errors.Join(r.L.Stop(r.T.Context(), podrig.Alice.Name), r.L.Remove(r.T.Context(), podrig.Alice.Name))
		}},
		{Name: "of its own", Says: "A pod has an environment and a working directory of its own.", Run: func(r *rig) error {
			spec := podrig.Alice
			spec.Dir, spec.Env = r.Base, []string{"ONLY=this"}
			return r.Launch(spec).Stop(r.T.Context())
		}},
	}}
	kit.Test(t, func(t *testing.T, rule conformance.Rule[*rig]) error { return rule.Run(newRig(t, podrig.Serve...)) })
}
