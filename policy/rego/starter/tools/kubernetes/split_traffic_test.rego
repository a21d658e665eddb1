package tools.kubernetes.split_traffic_test

import data.tools.kubernetes.split_traffic

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"namespace": "staging", "name": "web", "weights": [{"service": "web", "weight": 90}, {"service": "web-canary", "weight": 10}]}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"production": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "production"}]},
	"all namespaces": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/namespace"}]},
	"longer name": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "staging-2"}]},
	"no string": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": ["staging"]}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if split_traffic.allow with input as call

else := false

# A list has no arguments.
test_visible if split_traffic.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not split_traffic.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])
