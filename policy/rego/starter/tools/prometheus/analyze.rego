# Whose metrics may be told in numbers.
package tools.prometheus.analyze

import data.lib.demo
import data.lib.metrics

visible if demo.known

allow if {
	visible
	metrics.all_open(input.call.arguments.metrics)
}
