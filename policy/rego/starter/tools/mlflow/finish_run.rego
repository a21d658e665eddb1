# Who may end a run.
package tools.mlflow.finish_run

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
