# Which metrics the demo agent may read: those that say how processes and inference go. Change the list to yours.
package lib.metrics

families := {"go_", "gpu_", "inference_", "process_", "prometheus_", "sallyport_"}

open(metric) if metric == "up"

open(metric) if {
	is_string(metric)
	some family in families
	startswith(metric, family)
	regex.match(`^[a-zA-Z0-9_:]+$`, metric)
}

# What a query reads has to be said, and all of it open. The server refuses a query that reads anything else.
all_open(metrics) if {
	is_array(metrics)
	count(metrics) > 0
	every metric in metrics {
		open(metric)
	}
}
