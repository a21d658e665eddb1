# Who may delete which objects in S3: what the same agent may write.
package tools.s3.delete_object

import data.lib.objects

visible if objects.known

allow if {
	visible
	objects.own(input.call.arguments.bucket, input.call.arguments.key)
}

needs_scopes contains "s3:write"
