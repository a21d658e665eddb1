# Who hears of alerts: they name what is wrong, not what is measured. The whole list, page by page, and no other argument.
package tools.prometheus.alerts

import data.lib.demo

visible if demo.known

allow if {
	visible
	object.keys(object.get(input.call, "arguments", {})) - {"cursor"} == set()
}
