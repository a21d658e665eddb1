# Who may see the versions of which objects in S3.
package tools.s3.list_versions

import data.lib.paths

# Who sees the tool at all: the demo agent, acting for some person.
visible if {
	input.caller.path == ["agent", "demo"]
	input.subject != null
}

# Which calls are allowed: those on objects below public/ of the bucket demo.
allow if {
	visible
	input.call.arguments.bucket == "demo"
	paths.under(input.call.arguments.key, "public/")
}
