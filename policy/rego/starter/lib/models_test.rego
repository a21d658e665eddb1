package lib.models_test

import data.lib.models

names := {
	"smollm2": true,
	"smollm": false,
	"smollm22": false,
	"SmolLM2": false,
	"smollm2 ": false,
	"org/smollm2": false,
	"": false,
}

test_allowed[name] if {
	some name, want in names
	is_allowed(name) == want
}

test_only_strings[kind] if {
	some kind, name in {"array": ["smollm2"], "object": {"smollm2": 1}, "null": null, "boolean": true}
	not models.allowed(name)
}

test_up_to_the_most if models.within(10, 10)

test_no_more if not models.within(11, 10)

test_only_numbers[kind] if {
	some kind, tokens in {"string": "1", "null": null, "boolean": false}
	not models.within(tokens, 10)
}

is_allowed(name) if models.allowed(name)

else := false
