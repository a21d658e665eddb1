package tools.s3.head_object_test

import data.tools.s3.head_object

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"bucket": "demo", "key": "public/hello.txt"}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"below public": {"want": true, "patch": [{"op": "replace", "path": "/call/arguments/key", "value": "public/a/b.txt"}]},
	"a version of it": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/version", "value": "1"}]},
	"no key": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/key"}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"empty key": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/key", "value": ""}]},
	"private": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/key", "value": "private/salary.csv"}]},
	"climbing": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/key", "value": "public/../private/salary.csv"}]},
	"encoded": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/key", "value": "public/%2e%2e/private/salary.csv"}]},
	"no string": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/key", "value": ["public/hello.txt"]}]},
	"other bucket": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/bucket", "value": "demo2"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"longer path": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "demo", "x"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if head_object.allow with input as call

else := false

# A list has no arguments.
test_visible if head_object.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not head_object.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])

test_hidden_without_a_person if not head_object.visible with input as json.patch(good, [{"op": "replace", "path": "/subject", "value": null}])
