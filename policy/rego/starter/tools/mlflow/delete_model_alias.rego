# Who may take the alias staging from a model, and no other.
package tools.mlflow.delete_model_alias

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
	input.call.arguments.alias == "staging"
}
