package tools.prometheus.targets_test

import data.tools.prometheus.targets

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"a page": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/cursor", "value": "x"}]},
	"an argument more": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/state", "value": "firing"}]},
	"no arguments": {"want": true, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if targets.allow with input as call

else := false

test_visible if targets.visible with input as json.remove(good, ["call/arguments"])
