# Who may look for versions: of one model of the demo.
package tools.mlflow.search_model_versions

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
}
