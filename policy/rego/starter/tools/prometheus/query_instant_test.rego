package tools.prometheus.query_instant_test

import data.tools.prometheus.query_instant

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"query": "up", "metrics": ["up"]}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"another metric": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/metrics", "value": ["payroll_total"]}]},
	"one metric more": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/metrics/-", "value": "payroll_total"}]},
	"not said": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/metrics"}]},
	"none": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/metrics", "value": []}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"at a time": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/time", "value": "now-1h"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if query_instant.allow with input as call

else := false

test_visible if query_instant.visible with input as json.remove(good, ["call/arguments"])
