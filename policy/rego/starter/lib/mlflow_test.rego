# Cases that the tests of all tools of mlflow begin with, and those of what they share.
package lib.mlflow_test

import data.lib.demo_test
import data.lib.mlflow

call(arguments) := demo_test.call(arguments)

cases(good, twins) := demo_test.cases(good, twins)

by(path, arguments) := demo_test.by(path, arguments)

names := {"demo-": true, "demo-churn": true, "demo": false, "demos-x": false, "Demo-churn": false, "x-demo-": false, "": false}

test_ours[name] if {
	some name, wanted in names
	is_ours(name) == wanted
}

is_ours(name) if mlflow.ours(name)

else := false

test_all_ours if mlflow.all_ours(["demo-a", "demo-b"])

test_one_of_others if not mlflow.all_ours(["demo-a", "payroll"])

test_none_at_all if not mlflow.all_ours([])
