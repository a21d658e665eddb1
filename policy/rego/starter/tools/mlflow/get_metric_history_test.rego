package tools.mlflow.get_metric_history_test

import data.lib.mlflow_test
import data.tools.mlflow.get_metric_history

good := {"run_id": "a1", "metric": "loss", "experiment": "demo-churn"}

twins := {
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if get_metric_history.allow with input as call

else := false

test_visible if get_metric_history.visible with input as mlflow_test.call({})

test_hidden_from_others if not get_metric_history.visible with input as mlflow_test.by(["agent", "other"], {})
