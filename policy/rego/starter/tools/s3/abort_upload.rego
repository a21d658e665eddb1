# Who may end which upload so that nothing comes of it: who may begin it.
package tools.s3.abort_upload

import data.lib.objects

visible if objects.known

allow if {
	visible
	objects.uploaded(input.call.arguments.bucket, input.call.arguments.key)
}

needs_scopes contains "s3:write"
