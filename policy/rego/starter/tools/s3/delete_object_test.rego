package tools.s3.delete_object_test

import data.lib.demo_test
import data.tools.s3.delete_object

good := {"bucket": "demo", "key": "public/agent-demo/note.txt"}

twins := {
	"beside its own": {"key": "public/hello.txt"},
	"a neighbour's": {"key": "public/agent-demo2/note.txt"},
	"climbing": {"key": "public/agent-demo/../hello.txt"},
	"the folder": {"key": "public/agent-demo/"},
	"no key": {"key": null},
	"other bucket": {"bucket": "demo2"},
}

test_cases[name] if {
	some name, case in demo_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if delete_object.allow with input as call

else := false

test_visible if delete_object.visible with input as demo_test.call({})

test_hidden_from_others if not delete_object.visible with input as demo_test.by(["agent", "other"], {})

test_needs_write if delete_object.needs_scopes == {"s3:write"}
