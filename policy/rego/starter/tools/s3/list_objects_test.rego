package tools.s3.list_objects_test

import data.tools.s3.list_objects

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"bucket": "demo", "prefix": "public/"}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"below public": {"want": true, "patch": [{"op": "replace", "path": "/call/arguments/prefix", "value": "public/a/"}]},
	"no prefix": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/prefix"}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"empty prefix": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/prefix", "value": ""}]},
	"private": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/prefix", "value": "private/"}]},
	"climbing": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/prefix", "value": "public/../private/"}]},
	"encoded": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/prefix", "value": "public/%2e%2e/private/"}]},
	"no string": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/prefix", "value": ["public/"]}]},
	"other bucket": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/bucket", "value": "demo2"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"longer path": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "demo", "x"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if list_objects.allow with input as call

else := false

# A list has no arguments.
test_visible if list_objects.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not list_objects.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])

test_hidden_without_a_person if not list_objects.visible with input as json.patch(good, [{"op": "replace", "path": "/subject", "value": null}])
