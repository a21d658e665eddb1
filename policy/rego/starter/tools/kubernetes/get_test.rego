package tools.kubernetes.get_test

import data.tools.kubernetes.get

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"namespace": "staging", "name": "web", "kind": "Deployment"}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"production": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "production"}]},
	"all namespaces": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/namespace"}]},
	"longer name": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "staging-2"}]},
	"no string": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": ["staging"]}]},
	"pods": {"want": true, "patch": [{"op": "replace", "path": "/call/arguments/kind", "value": "Pod"}]},
	"secrets": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/kind", "value": "Secret"}]},
	"no kind": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/kind"}]},
	"written with its group": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/kind", "value": "Secret."}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if get.allow with input as call

else := false

# A list has no arguments.
test_visible if get.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not get.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])
