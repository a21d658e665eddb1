package tools.s3.complete_upload_test

import data.lib.demo_test
import data.tools.s3.complete_upload

good := {
	"bucket": "demo",
	"key": "public/agent-demo/uploads/big.bin",
	"upload_id": "u1",
	"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}

twins := {
	"beside the folder": {"key": "public/agent-demo/big.bin"},
	"no key": {"key": null},
	"other bucket": {"bucket": "demo2"},
	"no digest": {"sha256": null},
	"an empty one": {"sha256": ""},
	"a shorter one": {"sha256": "9f86d081"},
	"a number": {"sha256": 9},
}

test_cases[name] if {
	some name, case in demo_test.cases(good, twins)
	is_allowed(case.input) == case.want
}

is_allowed(call) if complete_upload.allow with input as call

else := false

test_visible if complete_upload.visible with input as demo_test.call({})

test_hidden_from_others if not complete_upload.visible with input as demo_test.by(["agent", "other"], {})

test_needs_write if complete_upload.needs_scopes == {"s3:write"}
