package tools.mlflow.set_run_tags_test

import data.lib.mlflow_test
import data.tools.mlflow.set_run_tags

good := {"run_id": "a1", "tags": {"team": "a"}, "experiment": "demo-churn"}

twins := {
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if set_run_tags.allow with input as call

else := false

test_visible if set_run_tags.visible with input as mlflow_test.call({})

test_hidden_from_others if not set_run_tags.visible with input as mlflow_test.by(["agent", "other"], {})
