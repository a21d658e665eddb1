# Which metrics are told of: open ones, one at a time.
package tools.prometheus.metadata

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.open(input.call.arguments.metric)
}
