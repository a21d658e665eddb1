# Who may send which piece of an upload: 1 MiB at most, and none that begins behind 8 MiB.
package tools.s3.upload_part

import data.lib.objects

visible if objects.known

allow if {
	visible
	objects.uploaded(input.call.arguments.bucket, input.call.arguments.key)
	objects.little(input.call.arguments, 1048576)
	is_number(input.call.arguments.offset)
	input.call.arguments.offset <= 8388608
}

needs_scopes contains "s3:write"
