# What the demo agent may change in S3: little objects below a prefix of its own.
package lib.objects

import data.lib.demo
import data.lib.paths

# Who sees the tools at all: the demo agent, acting for some person.
known if demo.known

# What it may write, and delete again. It reads there as in all of public/.
own(bucket, key) if object_below(bucket, key, "public/agent-demo/")

# Where it may upload in several calls. Such an object replaces what is there, and those tools have no argument that
# keeps it: so they have a folder of their own.
uploaded(bucket, key) if object_below(bucket, key, "public/agent-demo/uploads/")

object_below(bucket, key, prefix) if {
	bucket == "demo"
	paths.under(key, prefix)
	not endswith(key, "/")
}

# Nothing is there yet, or only what the caller has seen is replaced.
careful(arguments) if arguments.if_none_match == "*"

careful(arguments) if {
	is_string(arguments.if_match)
	arguments.if_match != "*"
}

# Nothing that a browser would run. Without a type it is the store's usual.
inert(arguments) if object.get(arguments, "content_type", null) in {
	null,
	"application/json",
	"application/octet-stream",
	"text/csv",
	"text/markdown",
	"text/plain",
}

# The content is there once, as text or as base64, in so many characters at most.
little(arguments, most) if {
	contents := [value | some name in {"content", "content_base64"}; value := arguments[name]; value != null]
	count(contents) == 1
	is_string(contents[0])
	count(contents[0]) <= most
}
