package tools.inference.list_models_test

import data.tools.inference.list_models

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"next page": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/cursor", "value": "x"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"longer path": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "demo", "x"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if list_models.allow with input as call

else := false

# A list has no arguments.
test_visible if list_models.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not list_models.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])

test_hidden_without_a_person if not list_models.visible with input as json.patch(good, [{"op": "replace", "path": "/subject", "value": null}])
