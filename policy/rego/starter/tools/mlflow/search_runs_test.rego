package tools.mlflow.search_runs_test

import data.lib.mlflow_test
import data.tools.mlflow.search_runs

good := {"experiments": ["demo-churn", "demo-fraud"]}

twins := {
	"one of others": {"experiments": ["demo-churn", "payroll"]},
	"none": {"experiments": []},
	"not said": {"experiments": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if search_runs.allow with input as call

else := false

test_visible if search_runs.visible with input as mlflow_test.call({})

test_hidden_from_others if not search_runs.visible with input as mlflow_test.by(["agent", "other"], {})
