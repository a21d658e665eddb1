# Who may read about a model's version.
package tools.mlflow.get_model_version

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
}
