# Which series may be listed: those of open metrics, named without a selector.
package tools.prometheus.series

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.all_open(input.call.arguments.match)
}
