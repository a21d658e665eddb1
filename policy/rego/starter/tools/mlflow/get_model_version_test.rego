package tools.mlflow.get_model_version_test

import data.lib.mlflow_test
import data.tools.mlflow.get_model_version

good := {"model": "demo-churn", "version": 1}

twins := {
	"other model": {"model": "payroll"},
	"no model": {"model": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if get_model_version.allow with input as call

else := false

test_visible if get_model_version.visible with input as mlflow_test.call({})

test_hidden_from_others if not get_model_version.visible with input as mlflow_test.by(["agent", "other"], {})
