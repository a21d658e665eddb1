# Who may register a model.
package tools.mlflow.create_model

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
}
