# Who may write which objects in S3: little ones of the agent's own, over nothing that it has not seen.
package tools.s3.put_object

import data.lib.objects

visible if objects.known

allow if {
	visible
	objects.own(input.call.arguments.bucket, input.call.arguments.key)
	objects.careful(input.call.arguments)
	objects.inert(input.call.arguments)
	objects.little(input.call.arguments, 65536)
}

# What the person's token must hold. A call that lacks it, and only it, hears so.
needs_scopes contains "s3:write"
