# Whose metrics may be read now.
package tools.prometheus.query_instant

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.all_open(input.call.arguments.metrics)
}
