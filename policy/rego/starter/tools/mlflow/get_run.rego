# Who may read a run. The call has to say whose experiment it is in, and the server refuses it if it is not.
package tools.mlflow.get_run

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
