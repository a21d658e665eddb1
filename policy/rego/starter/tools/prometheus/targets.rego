# Who hears what is scraped. The whole list, page by page, and no other argument.
package tools.prometheus.targets

import data.lib.demo

visible if demo.known

allow if {
	visible
	object.keys(object.get(input.call, "arguments", {})) - {"cursor"} == set()
}
