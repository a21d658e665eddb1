# Who may end which upload so that its object is there: who says what all of it is, by its digest.
package tools.s3.complete_upload

import data.lib.objects

visible if objects.known

allow if {
	visible
	objects.uploaded(input.call.arguments.bucket, input.call.arguments.key)
	is_string(input.call.arguments.sha256)
	regex.match(`^[0-9a-fA-F]{64}$`, input.call.arguments.sha256)
}

needs_scopes contains "s3:write"
