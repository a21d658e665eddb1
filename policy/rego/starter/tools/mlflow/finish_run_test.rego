package tools.mlflow.finish_run_test

import data.lib.mlflow_test
import data.tools.mlflow.finish_run

good := {"run_id": "a1", "status": "FINISHED", "experiment": "demo-churn"}

twins := {
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if finish_run.allow with input as call

else := false

test_visible if finish_run.visible with input as mlflow_test.call({})

test_hidden_from_others if not finish_run.visible with input as mlflow_test.by(["agent", "other"], {})
