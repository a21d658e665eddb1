# Who may begin to write which objects in S3 in several calls: those in a folder for that.
package tools.s3.start_upload

import data.lib.objects

visible if objects.known

allow if {
	visible
	objects.uploaded(input.call.arguments.bucket, input.call.arguments.key)
	objects.inert(input.call.arguments)
}

needs_scopes contains "s3:write"
