package tools.mlflow.search_models_test

import data.lib.mlflow_test
import data.tools.mlflow.search_models

good := {"prefix": "demo-"}

twins := {
	"wider prefix": {"prefix": "dem"},
	"no prefix": {"prefix": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if search_models.allow with input as call

else := false

test_visible if search_models.visible with input as mlflow_test.call({})

test_hidden_from_others if not search_models.visible with input as mlflow_test.by(["agent", "other"], {})
