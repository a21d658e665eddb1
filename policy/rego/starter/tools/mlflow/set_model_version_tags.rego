# Who may set tags of a version.
package tools.mlflow.set_model_version_tags

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
}
