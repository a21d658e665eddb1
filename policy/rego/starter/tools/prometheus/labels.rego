# Which names of labels may be listed: those of one open metric.
package tools.prometheus.labels

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.open(input.call.arguments.match)
}
