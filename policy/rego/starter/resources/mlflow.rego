# Who may read which resources of mlflow: the demo's models and their versions. A run's URI doesn't say whose it is, so runs
# are read with get_run.
package resources.mlflow

import data.lib.mlflow

templates := {"model://registry/{name}", "model://registry/{name}/versions/{version}"}

visible if {
	mlflow.known
	ours
}

visible if {
	mlflow.known
	input.call.resource.uri in templates
}

allow if {
	mlflow.known
	ours
	input.call.method == "resources/read"
}

ours if regex.match(`^model://registry/demo-[A-Za-z0-9._~-]+(/versions/[1-9][0-9]*)?$`, input.call.resource.uri)
