package lib.paths_test

import data.lib.paths

cases := {
	"public/": true,
	"public/hello.txt": true,
	"public/a/b..c/.d": true,
	"public/größe.txt": true,
	"public": false,
	"publicity/a": false,
	"Public/hello.txt": false,
	"/public/hello.txt": false,
	"private/salary.csv": false,
	"public/../private/salary.csv": false,
	"public/..": false,
	"public/./hello.txt": false,
	"public//hello.txt": false,
	"public///": false,
	`public/..\private\salary.csv`: false,
	"public/%2e%2e/private/salary.csv": false,
	"public/a\u0000b": false,
	"public/a\nb": false,
	"public/a\u007fb": false,
	"public/a\u0085b": false,
	"": false,
}

test_under[path] if {
	some path, allowed in cases
	is_under(path) == allowed
}

test_only_strings[kind] if {
	some kind, path in {"number": 1, "array": ["public/"], "object": {"public/": 1}, "null": null, "boolean": true}
	not paths.under(path, "public/")
}

is_under(path) if paths.under(path, "public/")

else := false
