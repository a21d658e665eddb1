package tools.s3.abort_upload_test

import data.lib.demo_test
import data.tools.s3.abort_upload

good := {"bucket": "demo", "key": "public/agent-demo/uploads/big.bin", "upload_id": "u1"}

twins := {
	"beside the folder": {"key": "public/agent-demo/big.bin"},
	"no key": {"key": null},
	"other bucket": {"bucket": "demo2"},
}

test_cases[name] if {
	some name, case in demo_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if abort_upload.allow with input as call

else := false

test_visible if abort_upload.visible with input as demo_test.call({})

test_hidden_from_others if not abort_upload.visible with input as demo_test.by(["agent", "other"], {})

test_needs_write if abort_upload.needs_scopes == {"s3:write"}
