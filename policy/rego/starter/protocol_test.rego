package protocol_test

import data.protocol

methods := {
	"initialize": true,
	"ping": true,
	"server/discover": true,
	"logging/setLevel": true,
	"notifications/initialized": true,
	"notifications/cancelled": true,
	"tools/list": true,
	"resources/list": true,
	"resources/templates/list": true,
	"prompts/list": true,
	"subscriptions/listen": true,
	"session/stream": true,
	"session/end": true,
	"session/answer": true,
	"tools/call": false,
	"resources/read": false,
	"prompts/get": false,
	"completion/complete": false,
	"sampling/createMessage": false,
	"session/steal": false,
	"notifications": false,
	"Initialize": false,
	"": false,
}

test_methods[method] if {
	some method, allowed in methods
	is_allowed(method) == allowed
}

is_allowed(method) if protocol.allow with input.call.method as method

else := false
