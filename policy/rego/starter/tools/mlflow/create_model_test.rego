package tools.mlflow.create_model_test

import data.lib.mlflow_test
import data.tools.mlflow.create_model

good := {"model": "demo-churn"}

twins := {
	"other model": {"model": "payroll"},
	"no model": {"model": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if create_model.allow with input as call

else := false

test_visible if create_model.visible with input as mlflow_test.call({})

test_hidden_from_others if not create_model.visible with input as mlflow_test.by(["agent", "other"], {})
