# Who may have a report or a checklist written: of the demo's models.
package prompts.mlflow

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.model)
}
