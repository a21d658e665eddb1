# Whose metrics may be read over a time.
package tools.prometheus.query_range

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.all_open(input.call.arguments.metrics)
}
