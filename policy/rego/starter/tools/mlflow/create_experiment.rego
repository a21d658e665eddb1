# Who may create an experiment.
package tools.mlflow.create_experiment

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.experiment)
}
