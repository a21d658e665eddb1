# Which values of a label may be listed: those of one open metric. The names of all metrics are none of them.
package tools.prometheus.label_values

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.open(input.call.arguments.match)
	input.call.arguments.label != "__name__"
}
