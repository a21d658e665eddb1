package lib.objects_test

import data.lib.objects

keys := {
	"public/agent-demo/a.txt": true,
	"public/agent-demo/a/b.txt": true,
	"public/agent-demo/": false,
	"public/agent-demo/a/": false,
	"public/agent-demo": false,
	"public/agent-demo2/a.txt": false,
	"public/hello.txt": false,
	"private/salary.csv": false,
	"public/agent-demo/../hello.txt": false,
	"public/agent-demo/%2e%2e/hello.txt": false,
	"": false,
}

test_own[key] if {
	some key, want in keys
	is_own("demo", key) == want
}

test_own_bucket if not objects.own("demo2", "public/agent-demo/a.txt")

test_own_key_is_text if not objects.own("demo", ["public/agent-demo/a.txt"])

is_own(bucket, key) if objects.own(bucket, key)

else := false

test_uploaded if objects.uploaded("demo", "public/agent-demo/uploads/a.bin")

test_uploaded_elsewhere if not objects.uploaded("demo", "public/agent-demo/a.bin")

conditions := {
	"a new one": {"arguments": {"if_none_match": "*"}, "want": true},
	"the one that was seen": {"arguments": {"if_match": "e1"}, "want": true},
	"none": {"arguments": {}, "want": false},
	"none as null": {"arguments": {"if_none_match": null, "if_match": null}, "want": false},
	"other": {"arguments": {"if_none_match": "e1"}, "want": false},
	"whatever is there": {"arguments": {"if_match": "*"}, "want": false},
	"a number": {"arguments": {"if_match": 1}, "want": false},
}

test_careful[name] if {
	some name, case in conditions
	is_careful(case.arguments) == case.want
}

is_careful(arguments) if objects.careful(arguments)

else := false

types := {
	"text/plain": true,
	"text/csv": true,
	"text/html": false,
	"image/svg+xml": false,
	"TEXT/HTML": false,
	"": false,
}

test_inert[type] if {
	some type, want in types
	is_inert({"content_type": type}) == want
}

test_inert_without_a_type if objects.inert({})

test_inert_with_null if objects.inert({"content_type": null})

is_inert(arguments) if objects.inert(arguments)

else := false

contents := {
	"text": {"arguments": {"content": "1234"}, "want": true},
	"base64": {"arguments": {"content_base64": "1234", "content": null}, "want": true},
	"empty": {"arguments": {"content": ""}, "want": true},
	"too long": {"arguments": {"content": "12345"}, "want": false},
	"too long in base64": {"arguments": {"content_base64": "12345678"}, "want": false},
	"both": {"arguments": {"content": "1", "content_base64": "MQ=="}, "want": false},
	"none": {"arguments": {}, "want": false},
	"no text": {"arguments": {"content": ["1"]}, "want": false},
}

test_little[name] if {
	some name, case in contents
	is_little(case.arguments) == case.want
}

is_little(arguments) if objects.little(arguments, 4)

else := false

# 64 Ki of a letter, for the tests of the tools' own bounds.
long := replace(x256, "x", x256)

x256 := replace(x16, "x", x16)

x16 := "xxxxxxxxxxxxxxxx"
