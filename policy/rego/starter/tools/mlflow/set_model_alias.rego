# Who may promote a version: to staging. What is in production is decided elsewhere.
package tools.mlflow.set_model_alias

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
	input.call.arguments.alias == "staging"
}
