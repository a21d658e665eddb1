package resources.kubernetes_test

import data.resources.kubernetes

reading(path, subject, uri) := {
	"caller": {"path": path},
	"subject": subject,
	"call": {"method": "resources/read", "resource": {"uri": uri}},
}

demo := ["agent", "demo"]

alice := {"sub": "alice"}

web := "cluster://deployments/staging/web"

uris := {
	"cluster://deployments/staging/web": true,
	"cluster://deployments/production/web": false,
	"cluster://deployments/staging/../production/web": false,
	"cluster://deployments/staging/web/scale": false,
	"cluster://deployments/staging/": false,
	"cluster://deployments/staging/%77eb": false,
	"cluster://deployments/Staging/web": false,
	"cluster://secrets/staging/web": false,
	"cluster://deployments/{namespace}/{name}": false,
	"web": false,
}

test_read[uri] if {
	some uri, allowed in uris
	is_allowed(reading(demo, alice, uri)) == allowed
}

test_other_agent if not kubernetes.allow with input as reading(["agent", "other"], alice, web)

test_no_person if not kubernetes.allow with input as reading(demo, null, web)

test_nothing_but_reading if {
	not kubernetes.allow with input as object.union(
		reading(demo, alice, web),
		{"call": {"method": "resources/subscribe"}},
	)
}

test_template_shown if kubernetes.visible with input as reading(demo, alice, "cluster://deployments/{namespace}/{name}")

test_template_hidden_from_others if {
	not kubernetes.visible with input as reading(["agent", "other"], alice, "cluster://deployments/{namespace}/{name}")
}

test_shown if kubernetes.visible with input as reading(demo, alice, web)

test_not_shown if not kubernetes.visible with input as reading(demo, alice, "cluster://deployments/production/web")

test_hidden_from_others if not kubernetes.visible with input as reading(["agent", "other"], alice, web)

is_allowed(call) if kubernetes.allow with input as call

else := false
