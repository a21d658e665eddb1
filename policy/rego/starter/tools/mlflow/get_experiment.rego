# Who may read about an experiment.
package tools.mlflow.get_experiment

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
