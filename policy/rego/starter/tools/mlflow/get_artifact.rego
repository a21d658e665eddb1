# Who may read a run's file.
package tools.mlflow.get_artifact

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
