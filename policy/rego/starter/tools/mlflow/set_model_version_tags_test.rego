package tools.mlflow.set_model_version_tags_test

import data.lib.mlflow_test
import data.tools.mlflow.set_model_version_tags

good := {"model": "demo-churn", "version": 1, "tags": {"validated": "yes"}}

twins := {
	"other model": {"model": "payroll"},
	"no model": {"model": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if set_model_version_tags.allow with input as call

else := false

test_visible if set_model_version_tags.visible with input as mlflow_test.call({})

test_hidden_from_others if not set_model_version_tags.visible with input as mlflow_test.by(["agent", "other"], {})
