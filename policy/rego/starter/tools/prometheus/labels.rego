# Which names of labels may be listed: those of open metrics.
package tools.prometheus.labels

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.all_open(input.call.arguments.match)
}
