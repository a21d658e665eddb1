package tools.s3.put_object_test

import data.lib.demo_test
import data.lib.objects_test
import data.tools.s3.put_object

good := {"bucket": "demo", "key": "public/agent-demo/note.txt", "content": "a note", "if_none_match": "*"}

twins := {
	"over what is there": {"if_none_match": null},
	"other bucket": {"bucket": "demo2"},
	"no bucket": {"bucket": null},
	"beside its own": {"key": "public/note.txt"},
	"a neighbour's": {"key": "public/agent-demo2/note.txt"},
	"climbing": {"key": "public/agent-demo/../hello.txt"},
	"no key": {"key": null},
	"a page": {"content_type": "text/html"},
	"nothing": {"content": null},
	"twice": {"content_base64": "YSBub3Rl"},
	"too long": {"content": concat("", [objects_test.long, "x"])},
}

test_cases[name] if {
	some name, case in demo_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if put_object.allow with input as call

else := false

changes := {
	"over what was seen": {"if_none_match": null, "if_match": "e1"},
	"with a type": {"content_type": "text/markdown"},
	"as base64": {"content": null, "content_base64": "YSBub3Rl"},
	"as long as may be": {"content": objects_test.long},
}

test_allowed[name] if {
	some name, change in changes
	is_allowed(demo_test.call(demo_test.changed(good, change)))
}

test_visible if put_object.visible with input as demo_test.call({})

test_hidden_from_others if not put_object.visible with input as demo_test.by(["agent", "other"], {})

test_needs_write if put_object.needs_scopes == {"s3:write"}
