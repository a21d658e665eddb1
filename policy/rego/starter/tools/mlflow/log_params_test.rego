package tools.mlflow.log_params_test

import data.lib.mlflow_test
import data.tools.mlflow.log_params

good := {"run_id": "a1", "params": {"lr": "0.1"}, "experiment": "demo-churn"}

twins := {
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if log_params.allow with input as call

else := false

test_visible if log_params.visible with input as mlflow_test.call({})

test_hidden_from_others if not log_params.visible with input as mlflow_test.by(["agent", "other"], {})
