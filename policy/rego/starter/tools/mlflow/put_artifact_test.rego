package tools.mlflow.put_artifact_test

import data.lib.mlflow_test
import data.tools.mlflow.put_artifact

good := {"run_id": "a1", "path": "reports/validation.md", "content": "ok", "experiment": "demo-churn"}

twins := {
	"other experiment": {"experiment": "payroll"},
	"no experiment": {"experiment": null},
	"a model": {"path": "model/MLmodel"},
	"climbing": {"path": "reports/../model/MLmodel"},
	"no path": {"path": null},
}

test_cases[name] if {
	some name, case in mlflow_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if put_artifact.allow with input as call

else := false

test_visible if put_artifact.visible with input as mlflow_test.call({})

test_hidden_from_others if not put_artifact.visible with input as mlflow_test.by(["agent", "other"], {})
