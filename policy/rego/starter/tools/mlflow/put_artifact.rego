# Who may write a file of a run: a report, and no model.
package tools.mlflow.put_artifact

import data.lib.mlflow
import data.lib.paths

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
	paths.under(input.call.arguments.path, "reports/")
}
