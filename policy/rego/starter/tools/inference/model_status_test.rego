package tools.inference.model_status_test

import data.tools.inference.model_status

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"model": "smollm2"}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"other model": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/model", "value": "smollm3"}]},
	"capitals": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/model", "value": "SmolLM2"}]},
	"no model": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/model"}]},
	"several models": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/model", "value": ["smollm2"]}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"longer path": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "demo", "x"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if model_status.allow with input as call

else := false

# A list has no arguments.
test_visible if model_status.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not model_status.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])

test_hidden_without_a_person if not model_status.visible with input as json.patch(good, [{"op": "replace", "path": "/subject", "value": null}])
