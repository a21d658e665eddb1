# Who hears of alerts as Alertmanager has them: they name what is wrong and whom it wakes. Any part of the list, and no other
# argument.
package tools.prometheus.alertmanager_alerts

import data.lib.demo

visible if demo.known

allow if {
	visible
	object.keys(object.get(input.call, "arguments", {})) - {"cursor", "matchers", "states"} == set()
}
