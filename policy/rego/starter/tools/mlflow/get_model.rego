# Who may read about a model.
package tools.mlflow.get_model

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
}
