# Who may copy which objects in S3: what may be read, to the agent's own, over nothing that it has not seen.
package tools.s3.copy_object

import data.lib.objects
import data.lib.paths

visible if objects.known

allow if {
	visible
	input.call.arguments.from_bucket == "demo"
	paths.under(input.call.arguments.from_key, "public/")
	objects.own(input.call.arguments.to_bucket, input.call.arguments.to_key)
	objects.careful(input.call.arguments)
}

needs_scopes contains "s3:write"
