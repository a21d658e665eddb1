package tools.mlflow.list_artifacts_test

import data.lib.mlflow_test
import data.tools.mlflow.list_artifacts

good := {"run_id": "a1", "experiment": "demo-churn"}

twins := {
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if list_artifacts.allow with input as call

else := false

test_visible if list_artifacts.visible with input as mlflow_test.call({})

test_hidden_from_others if not list_artifacts.visible with input as mlflow_test.by(["agent", "other"], {})
