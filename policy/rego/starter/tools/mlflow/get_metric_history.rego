# Who may read a metric's history.
package tools.mlflow.get_metric_history

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
