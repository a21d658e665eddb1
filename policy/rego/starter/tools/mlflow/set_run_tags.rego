# Who may set tags of a run.
package tools.mlflow.set_run_tags

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
