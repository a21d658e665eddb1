package tools.kubernetes.delete_test

import data.tools.kubernetes.delete

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"namespace": "staging", "name": "web", "kind": "Deployment", "uid": "0f8fad5b-d9cb-469f-a165-70867728950e"}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"production": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "production"}]},
	"all namespaces": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/namespace"}]},
	"longer name": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "staging-2"}]},
	"no string": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": ["staging"]}]},
	"a config map": {"want": true, "patch": [{"op": "replace", "path": "/call/arguments/kind", "value": "ConfigMap"}]},
	"a secret": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/kind", "value": "Secret"}]},
	"a pod": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/kind", "value": "Pod"}]},
	"no kind": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/kind"}]},
	"a trial": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/dry_run", "value": true}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if delete.allow with input as call

else := false

# A list has no arguments.
test_visible if delete.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not delete.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])
