# Which values of a label may be listed: those of open metrics. The names of all metrics are none of them.
package tools.prometheus.label_values

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.all_open(input.call.arguments.match)
	input.call.arguments.label != "__name__"
}
