# Who may list what in S3. One file per tool: this one answers for list_objects of
# the server s3. A tool without a file is denied.
package tools.s3.list_objects

import data.lib.paths

# Who sees the tool at all: the demo agent, acting for some person.
visible if {
	input.caller.path == ["agent", "demo"]
	input.subject != null
}

# Which calls are allowed. What isn't visible is denied before this is asked.
allow if {
	visible
	input.call.arguments.bucket == "demo"
	paths.under(input.call.arguments.prefix, "public/")
}
