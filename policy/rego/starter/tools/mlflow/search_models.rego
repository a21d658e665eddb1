# Who may look for models: those whose names begin as the demo's do.
package tools.mlflow.search_models

import data.lib.mlflow

visible if mlflow.known

allow if {
	visible
	mlflow.ours(input.call.arguments.prefix)
}
