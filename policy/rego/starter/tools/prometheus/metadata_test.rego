package tools.prometheus.metadata_test

import data.tools.prometheus.metadata

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"metric": "up"}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"another metric": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/metric", "value": "payroll_total"}]},
	"all of them": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/metric"}]},
	"no text": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/metric", "value": ["up"]}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if metadata.allow with input as call

else := false

test_visible if metadata.visible with input as json.remove(good, ["call/arguments"])
