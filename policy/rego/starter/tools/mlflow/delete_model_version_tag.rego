# Who may take a tag from a version.
package tools.mlflow.delete_model_version_tag

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
}
