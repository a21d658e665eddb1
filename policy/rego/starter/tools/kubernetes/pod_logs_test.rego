package tools.kubernetes.pod_logs_test

import data.tools.kubernetes.pod_logs

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"namespace": "staging", "name": "web-1", "tail_lines": 50}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"production": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "production"}]},
	"all namespaces": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/namespace"}]},
	"longer name": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "staging-2"}]},
	"no string": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": ["staging"]}]},
	"followed": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/follow_seconds", "value": 10}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if pod_logs.allow with input as call

else := false

# A list has no arguments.
test_visible if pod_logs.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not pod_logs.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])
