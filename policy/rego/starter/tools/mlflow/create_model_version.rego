# Who may register a version: of a model of the demo, out of an experiment of the demo.
package tools.mlflow.create_model_version

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
	mlflow.ours(input.call.arguments.experiment)
}
