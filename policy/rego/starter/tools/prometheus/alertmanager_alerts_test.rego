package tools.prometheus.alertmanager_alerts_test

import data.tools.prometheus.alertmanager_alerts

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"matchers": [{"label": "severity", "value": "critical"}], "states": ["silenced"]}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"a page": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/cursor", "value": "x"}]},
	"an argument more": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/receiver", "value": "pager"}]},
	"no arguments": {"want": true, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if alertmanager_alerts.allow with input as call

else := false

test_visible if alertmanager_alerts.visible with input as json.remove(good, ["call/arguments"])
