package tools.s3.start_upload_test

import data.lib.demo_test
import data.tools.s3.start_upload

good := {"bucket": "demo", "key": "public/agent-demo/uploads/big.bin", "content_type": "application/octet-stream"}

twins := {
	"beside the folder": {"key": "public/agent-demo/big.bin"},
	"climbing": {"key": "public/agent-demo/uploads/../big.bin"},
	"no key": {"key": null},
	"other bucket": {"bucket": "demo2"},
	"a page": {"content_type": "text/html"},
}

test_cases[name] if {
	some name, case in demo_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if start_upload.allow with input as call

else := false

test_visible if start_upload.visible with input as demo_test.call({})

test_hidden_from_others if not start_upload.visible with input as demo_test.by(["agent", "other"], {})

test_needs_write if start_upload.needs_scopes == {"s3:write"}
