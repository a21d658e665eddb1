# Which metrics may be read of as resources: the same as with the tool metadata.
package resources.prometheus

import data.lib.demo
import data.lib.metrics

visible if {
	demo.known
	listed
}

listed if metrics.open(metric)

listed if input.call.resource.uri == "metrics://{metric_name}"

allow if {
	demo.known
	metrics.open(metric)
	input.call.method == "resources/read"
}

metric := trim_prefix(input.call.resource.uri, "metrics://") if startswith(input.call.resource.uri, "metrics://")
