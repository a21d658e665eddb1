# Who may read which resources of the server s3: the same objects as get_object.
package resources.s3

import data.lib.paths

bucket := "s3://demo/"

# The demo agent, acting for some person.
known if {
	input.caller.path == ["agent", "demo"]
	input.subject != null
}

# What its lists show: objects below public/, and the template that they fill.
visible if {
	known
	public
}

visible if {
	known
	input.call.resource.uri == "s3://{bucket}/{+key}"
}

# What it may read. The template is no object, and nothing but reading is allowed.
allow if {
	known
	public
	input.call.method == "resources/read"
}

public if {
	startswith(input.call.resource.uri, bucket)
	paths.under(trim_prefix(input.call.resource.uri, bucket), "public/")
}
