package tools.inference.embed_test

import data.tools.inference.embed

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"model": "smollm2", "input": ["one", "two"]}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"other model": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/model", "value": "smollm3"}]},
	"capitals": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/model", "value": "SmolLM2"}]},
	"no model": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/model"}]},
	"several models": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/model", "value": ["smollm2"]}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"sixteen texts": {"want": true, "patch": [{"op": "replace", "path": "/call/arguments/input", "value": texts(16)}]},
	"seventeen texts": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/input", "value": texts(17)}]},
	"no list": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/input", "value": "one"}]},
	"no texts": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/input"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"longer path": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "demo", "x"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

texts(many) := ["x" | some _ in numbers.range(1, many)]

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if embed.allow with input as call

else := false

# A list has no arguments.
test_visible if embed.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not embed.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])

test_hidden_without_a_person if not embed.visible with input as json.patch(good, [{"op": "replace", "path": "/subject", "value": null}])
