package tools.prometheus.silences_test

import data.tools.prometheus.silences

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"states": ["active"]}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"those to come": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/states/-", "value": "pending"}]},
	"those that ended": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/states", "value": ["expired"]}]},
	"those that ended, too": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/states/-", "value": "expired"}]},
	"a page": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/cursor", "value": "x"}]},
	"an argument more": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/id", "value": "1"}]},
	"no arguments": {"want": true, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if silences.allow with input as call

else := false

test_visible if silences.visible with input as json.remove(good, ["call/arguments"])
