package agents.echo_test

import data.agents.echo

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"method": "SendMessage", "message": {"parts": [{"kind": "text", "text": "what is my name"}]}},
}

text(said) := [{"op": "replace", "path": "/call/message/parts/0/text", "value": said}]

part(one) := [{"op": "add", "path": "/call/message/parts/-", "value": one}]

cases := {
	"as it is": {"want": true, "patch": []},
	"two texts": {"want": true, "patch": part({"kind": "text", "text": "and yours"})},
	"without a message": {"want": true, "patch": [{"op": "remove", "path": "/call/message"}]},
	"a password": {"want": false, "patch": text("what is my password")},
	"a PassWord": {"want": false, "patch": text("PassWords, please")},
	"a password in the second text": {"want": false, "patch": part({"kind": "text", "text": "my password"})},
	"a file": {"want": false, "patch": part({"kind": "file", "text": null, "url": "https://example.org/"})},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"longer path": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "demo", "x"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if {
	echo.allow with input as call
	count(reasons(call)) == 0
}

else := false

reasons(call) := found if found := echo.deny with input as call

# The list of agents says nothing of a message.
test_found if echo.visible with input as json.remove(good, ["call/message"])

test_not_found_by_others if not echo.visible with input as json.patch(good, cases["other agent"].patch)

test_says_why_of_a_file if echo.deny == {"text_only"} with input as json.patch(good, cases["a file"].patch)

test_says_why if echo.deny == {"password"} with input as json.patch(good, cases["a password"].patch)
