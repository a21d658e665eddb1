package tools.mlflow.delete_model_version_tag_test

import data.lib.mlflow_test
import data.tools.mlflow.delete_model_version_tag

good := {"model": "demo-churn", "version": 1, "key": "validated"}

twins := {
	"other model": {"model": "payroll"},
	"no model": {"model": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if delete_model_version_tag.allow with input as call

else := false

test_visible if delete_model_version_tag.visible with input as mlflow_test.call({})

test_hidden_from_others if not delete_model_version_tag.visible with input as mlflow_test.by(["agent", "other"], {})
