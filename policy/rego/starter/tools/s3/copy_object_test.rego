package tools.s3.copy_object_test

import data.lib.demo_test
import data.tools.s3.copy_object

good := {
	"from_bucket": "demo",
	"from_key": "public/hello.txt",
	"to_bucket": "demo",
	"to_key": "public/agent-demo/hello.txt",
	"if_none_match": "*",
}

twins := {
	"what may not be read": {"from_key": "private/salary.csv"},
	"climbing": {"from_key": "public/../private/salary.csv"},
	"no source": {"from_key": null},
	"from another bucket": {"from_bucket": "models"},
	"beside its own": {"to_key": "public/hello2.txt"},
	"climbing out": {"to_key": "public/agent-demo/../hello.txt"},
	"no target": {"to_key": null},
	"to another bucket": {"to_bucket": "models"},
	"over what is there": {"if_none_match": null},
}

test_cases[name] if {
	some name, case in demo_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if copy_object.allow with input as call

else := false

test_an_earlier_version_over_what_was_seen if is_allowed(demo_test.call(demo_test.changed(good, {
	"from_key": "public/agent-demo/hello.txt",
	"from_version": "1",
	"if_none_match": null,
	"if_match": "e1",
})))

test_visible if copy_object.visible with input as demo_test.call({})

test_hidden_from_others if not copy_object.visible with input as demo_test.by(["agent", "other"], {})

test_needs_write if copy_object.needs_scopes == {"s3:write"}
