# Who is the demo agent, and what the tests of its tools begin with.
package lib.demo_test

import data.lib.demo

call(arguments) := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": arguments},
}

# A good call, the same by others, and its twins: each changes arguments, and null takes one away.
cases(good, twins) := object.union(
	{
		"as it is": {"want": true, "input": call(good)},
		"other agent": {"want": false, "input": by(["agent", "other"], good)},
		"longer path": {"want": false, "input": by(["agent", "demo", "x"], good)},
		"no person": {"want": false, "input": object.union(call(good), {"subject": null})},
		"no arguments": {"want": false, "input": json.remove(call(good), ["call/arguments"])},
	},
	{name: {"want": false, "input": call(changed(good, twin))} | some name, twin in twins},
)

by(path, arguments) := object.union(call(arguments), {"caller": {"path": path}})

changed(good, twin) := object.remove(object.union(good, twin), {key | some key, value in twin; value == null})

good := call({})

test_known if demo.known with input as good

test_other_agent if not demo.known with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])

test_longer_path if not demo.known with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "demo", "x"]}])

test_no_person if not demo.known with input as json.patch(good, [{"op": "replace", "path": "/subject", "value": null}])
