package tools.mlflow.log_metrics_test

import data.lib.mlflow_test
import data.tools.mlflow.log_metrics

good := {"run_id": "a1", "metrics": [{"key": "loss", "value": 1}], "experiment": "demo-churn"}

twins := {
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if log_metrics.allow with input as call

else := false

test_visible if log_metrics.visible with input as mlflow_test.call({})

test_hidden_from_others if not log_metrics.visible with input as mlflow_test.by(["agent", "other"], {})
