package tools.mlflow.create_run_test

import data.lib.mlflow_test
import data.tools.mlflow.create_run

good := {"experiment": "demo-churn", "name": "first"}

twins := {
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if create_run.allow with input as call

else := false

test_visible if create_run.visible with input as mlflow_test.call({})

test_hidden_from_others if not create_run.visible with input as mlflow_test.by(["agent", "other"], {})
