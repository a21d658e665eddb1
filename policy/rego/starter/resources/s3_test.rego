package resources.s3_test

import data.resources.s3

reading(path, subject, uri) := {
	"caller": {"path": path},
	"subject": subject,
	"call": {"method": "resources/read", "resource": {"uri": uri}},
}

demo := ["agent", "demo"]

alice := {"sub": "alice"}

uris := {
	"s3://demo/public/hello.txt": true,
	"s3://demo/private/salary.csv": false,
	"s3://demo/public/../private/salary.csv": false,
	"s3://demo/public/%2e%2e/private/salary.csv": false,
	"s3://demo/public": false,
	"s3://demo/": false,
	"s3://demo2/public/hello.txt": false,
	"s3://DEMO/public/hello.txt": false,
	"file://demo/public/hello.txt": false,
	"public/hello.txt": false,
	"s3://{bucket}/{+key}": false,
}

test_read[uri] if {
	some uri, allowed in uris
	is_allowed(reading(demo, alice, uri)) == allowed
}

test_other_agent if not s3.allow with input as reading(["agent", "other"], alice, "s3://demo/public/hello.txt")

test_no_person if not s3.allow with input as reading(demo, null, "s3://demo/public/hello.txt")

test_nothing_but_reading if {
	not s3.allow with input as object.union(
		reading(demo, alice, "s3://demo/public/hello.txt"),
		{"call": {"method": "resources/subscribe"}},
	)
}

test_shown[uri] if {
	some uri, allowed in uris
	shown := allowed_or_template(allowed, uri)
	is_visible(reading(demo, alice, uri)) == shown
}

test_hidden_from_others[uri] if {
	some uri in ["s3://{bucket}/{+key}", "s3://demo/public/hello.txt"]
	not s3.visible with input as reading(["agent", "other"], alice, uri)
}

allowed_or_template(_, "s3://{bucket}/{+key}") := true

allowed_or_template(allowed, uri) := allowed if uri != "s3://{bucket}/{+key}"

is_allowed(call) if s3.allow with input as call

else := false

is_visible(call) if s3.visible with input as call

else := false
