package tools.s3.upload_part_test

import data.lib.demo_test
import data.lib.objects_test
import data.tools.s3.upload_part

good := {
	"bucket": "demo",
	"key": "public/agent-demo/uploads/big.bin",
	"upload_id": "u1",
	"offset": 8388608,
	"content": mebibyte,
}

mebibyte := replace(objects_test.x16, "x", objects_test.long)

twins := {
	"beside the folder": {"key": "public/agent-demo/big.bin"},
	"no key": {"key": null},
	"other bucket": {"bucket": "demo2"},
	"too far": {"offset": 8388609},
	"no offset": {"offset": null},
	"an offset in words": {"offset": "1"},
	"a list of offsets": {"offset": [1]},
	"nothing": {"content": null},
	"too long": {"content": concat("", [mebibyte, "x"])},
}

test_cases[name] if {
	some name, case in demo_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if upload_part.allow with input as call

else := false

test_an_offset_of_nothing if not is_allowed(demo_test.call(object.union(good, {"offset": null})))

test_base64 if is_allowed(demo_test.call(demo_test.changed(good, {"offset": 0, "content": null, "content_base64": "YSBub3Rl"})))

test_visible if upload_part.visible with input as demo_test.call({})

test_hidden_from_others if not upload_part.visible with input as demo_test.by(["agent", "other"], {})

test_needs_write if upload_part.needs_scopes == {"s3:write"}
