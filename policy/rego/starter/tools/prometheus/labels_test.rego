package tools.prometheus.labels_test

import data.tools.prometheus.labels

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"match": ["up"]}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"two metrics": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/match/-", "value": "go_goroutines"}]},
	"another metric": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/match/0", "value": "payroll_total"}]},
	"of everything": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/match"}]},
	"by labels": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/match", "value": ["{job=\"x\"}"]}]},
	"one metric more": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/match/-", "value": "payroll_total"}]},
	"none": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/match", "value": []}]},
	"no list": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/match", "value": "up"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if labels.allow with input as call

else := false

test_visible if labels.visible with input as json.remove(good, ["call/arguments"])
