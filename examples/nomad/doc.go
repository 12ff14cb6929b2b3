// Package nomad launches pods on a Nomad cluster: it is a [launcher.Starter], a
// log source and a probe, for those who have outgrown one machine and want to keep
// their program.
//
//	l := launcher.Launcher{
//		Command: launcher.Exec("/opt/pod/bin/pod"),
//		Dir:     runtimedir.User{},
//		Log:     nomad.Log{},
//		Ready: readiness.Any{
//			readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}},
//			nomad.Address{},
//		},
//		Starter: nomad.Starter{},
//	}
//	pod, err := l.Launch(ctx, launcher.Spec{Name: "alice"})
//
// Each pod is a job with one task. The runtime directory is on the machine that
// launches, and holds the locks on the name, the record, and where the engine has
// put the pod ([Placement]). What holds of a launch here, and what does not, is in
// docs/engines.md.
package nomad
