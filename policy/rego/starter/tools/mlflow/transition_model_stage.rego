# Who may move a version to a stage: to Staging, and others stay where they are.
package tools.mlflow.transition_model_stage

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
	input.call.arguments.stage == "Staging"
	not input.call.arguments.archive_others
}
