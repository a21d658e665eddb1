package tools.mlflow.set_model_alias_test

import data.lib.mlflow_test
import data.tools.mlflow.set_model_alias

good := {"model": "demo-churn", "alias": "staging", "version": 1}

twins := {
	"other model": {"model": "payroll"},
	"no model": {"model": null},
	"production": {"alias": "production"},
	"other letters": {"alias": "Staging"},
	"no alias": {"alias": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if set_model_alias.allow with input as call

else := false

test_visible if set_model_alias.visible with input as mlflow_test.call({})

test_hidden_from_others if not set_model_alias.visible with input as mlflow_test.by(["agent", "other"], {})
