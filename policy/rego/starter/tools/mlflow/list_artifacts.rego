# Who may list a run's files.
package tools.mlflow.list_artifacts

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
