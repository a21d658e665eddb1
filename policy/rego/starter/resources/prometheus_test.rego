package resources.prometheus_test

import data.resources.prometheus

reading(path, uri) := {
	"caller": {"path": path},
	"subject": {"sub": "alice"},
	"call": {"method": "resources/read", "resource": {"uri": uri}},
}

uris := {
	"metrics://up": true,
	"metrics://process_cpu_seconds_total": true,
	"metrics://payroll_total": false,
	"metrics://up/x": false,
	"metrics://{metric_name}": false,
	"up": false,
}

test_read[uri] if {
	some uri, allowed in uris
	is_allowed(reading(["agent", "demo"], uri)) == allowed
}

test_other_agent if not prometheus.allow with input as reading(["agent", "other"], "metrics://up")

test_template_is_shown if prometheus.visible with input as reading(["agent", "demo"], "metrics://{metric_name}")

test_shown if prometheus.visible with input as reading(["agent", "demo"], "metrics://up")

test_not_shown if not prometheus.visible with input as reading(["agent", "demo"], "metrics://payroll_total")

test_hidden_from_others if not prometheus.visible with input as reading(["agent", "other"], "metrics://up")

test_nothing_but_reading if {
	not prometheus.allow with input as object.union(
		reading(["agent", "demo"], "metrics://up"),
		{"call": {"method": "resources/subscribe"}},
	)
}

is_allowed(call) if prometheus.allow with input as call

else := false
