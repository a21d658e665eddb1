# Who may add values of metrics.
package tools.mlflow.log_metrics

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
