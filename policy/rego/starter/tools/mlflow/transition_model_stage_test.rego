package tools.mlflow.transition_model_stage_test

import data.lib.mlflow_test
import data.tools.mlflow.transition_model_stage

good := {"model": "demo-churn", "version": 1, "stage": "Staging"}

twins := {
	"other model": {"model": "payroll"},
	"no model": {"model": null},
	"production": {"stage": "Production"},
	"no stage": {"stage": null},
	"others archived": {"archive_others": true},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if transition_model_stage.allow with input as call

else := false

test_visible if transition_model_stage.visible with input as mlflow_test.call({})

test_hidden_from_others if not transition_model_stage.visible with input as mlflow_test.by(["agent", "other"], {})
