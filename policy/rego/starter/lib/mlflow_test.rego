# Cases that the tests of all tools of mlflow begin with, and those of what they share.
package lib.mlflow_test

import data.lib.mlflow

call(arguments) := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": arguments},
}

# A good call, the same by others, and its twins: each changes arguments, and null takes one away.
cases(good, twins) := object.union(
	{
		"as it is": {"want": true, "input": call(good)},
		"other agent": {"want": false, "input": by(["agent", "other"], good)},
		"longer path": {"want": false, "input": by(["agent", "demo", "x"], good)},
		"no person": {"want": false, "input": object.union(call(good), {"subject": null})},
		"no arguments": {"want": false, "input": json.remove(call(good), ["call/arguments"])},
	},
	{name: {"want": false, "input": call(changed(good, twin))} | some name, twin in twins},
)

by(path, arguments) := object.union(call(arguments), {"caller": {"path": path}})

changed(good, twin) := object.remove(object.union(good, twin), {key | some key, value in twin; value == null})

names := {"demo-": true, "demo-churn": true, "demo": false, "demos-x": false, "Demo-churn": false, "x-demo-": false, "": false}

test_ours[name] if {
	some name, wanted in names
	is_ours(name) == wanted
}

is_ours(name) if mlflow.ours(name)

else := false

test_all_ours if mlflow.all_ours(["demo-a", "demo-b"])

test_one_of_others if not mlflow.all_ours(["demo-a", "payroll"])

test_none_at_all if not mlflow.all_ours([])
