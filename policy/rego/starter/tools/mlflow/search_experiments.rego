# Who may look for experiments: those whose names begin as the demo's do.
package tools.mlflow.search_experiments

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.prefix)
}
