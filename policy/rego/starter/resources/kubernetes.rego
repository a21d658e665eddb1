# Who may read which resources of the server kubernetes: the Deployments of the namespace staging.
package resources.kubernetes

import data.lib.cluster

below := "cluster://deployments/staging/"

# What its lists show: those Deployments, and the template that they fill.
visible if {
	cluster.known
	ours
}

visible if {
	cluster.known
	input.call.resource.uri == "cluster://deployments/{namespace}/{name}"
}

# What it may read. The template is no Deployment, and nothing but reading is allowed.
allow if {
	cluster.known
	ours
	input.call.method == "resources/read"
}

ours if {
	startswith(input.call.resource.uri, below)
	regex.match(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`, trim_prefix(input.call.resource.uri, below))
}
