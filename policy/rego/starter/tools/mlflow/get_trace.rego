# Who may read a trace.
package tools.mlflow.get_trace

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
