package resources.mlflow_test

import data.resources.mlflow

reading(path, uri) := {
	"caller": {"path": path},
	"subject": {"sub": "alice"},
	"call": {"method": "resources/read", "resource": {"uri": uri}},
}

demo := ["agent", "demo"]

uris := {
	"model://registry/demo-churn": true,
	"model://registry/demo-churn/versions/3": true,
	"model://registry/demo-churn/versions/0": false,
	"model://registry/demo-churn/versions/3/x": false,
	"model://registry/demo-%2E": false,
	"model://registry/payroll": false,
	"model://registry/payroll/versions/demo-1": false,
	"model://registry/{name}": false,
	"experiment://runs/a1": false,
	"x-model://registry/demo-churn": false,
}

test_read[uri] if {
	some uri, wanted in uris
	is_allowed(reading(demo, uri)) == wanted
}

is_allowed(call) if mlflow.allow with input as call

else := false

test_other_agent if not mlflow.allow with input as reading(["agent", "other"], "model://registry/demo-churn")

test_nothing_but_reading if {
	not mlflow.allow with input as object.union(
		reading(demo, "model://registry/demo-churn"),
		{"call": {"method": "resources/subscribe"}},
	)
}

test_shown[uri] if {
	some uri in ["model://registry/demo-churn", "model://registry/{name}"]
	mlflow.visible with input as reading(demo, uri)
}

test_not_shown[uri] if {
	some uri in ["model://registry/payroll", "experiment://runs/{id}"]
	not mlflow.visible with input as reading(demo, uri)
}

test_hidden_from_others[uri] if {
	some uri in ["model://registry/demo-churn", "model://registry/{name}"]
	not mlflow.visible with input as reading(["agent", "other"], uri)
}
