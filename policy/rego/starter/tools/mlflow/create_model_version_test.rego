package tools.mlflow.create_model_version_test

import data.lib.mlflow_test
import data.tools.mlflow.create_model_version

good := {"model": "demo-churn", "run_id": "a1", "path": "model", "experiment": "demo-churn"}

twins := {
	"other model": {"model": "payroll"},
	"no model": {"model": null},
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if create_model_version.allow with input as call

else := false

test_visible if create_model_version.visible with input as mlflow_test.call({})

test_hidden_from_others if not create_model_version.visible with input as mlflow_test.by(["agent", "other"], {})
