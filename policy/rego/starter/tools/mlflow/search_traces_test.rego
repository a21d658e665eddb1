package tools.mlflow.search_traces_test

import data.lib.mlflow_test
import data.tools.mlflow.search_traces

good := {"experiments": ["demo-churn"]}

twins := {
	"one of others": {"experiments": ["demo-churn", "payroll"]},
	"not said": {"experiments": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if search_traces.allow with input as call

else := false

test_visible if search_traces.visible with input as mlflow_test.call({})

test_hidden_from_others if not search_traces.visible with input as mlflow_test.by(["agent", "other"], {})
