# Who hears by which rules alerts are made. The whole list, page by page, and no other argument.
package tools.prometheus.rules

import data.lib.demo

visible if demo.known

allow if {
	visible
	object.keys(object.get(input.call, "arguments", {})) - {"cursor"} == set()
}
