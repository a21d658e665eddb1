# Who hears what is kept silent, by whom and why: what is so now or soon. What has ended tells who worked on what, and is not
# for everybody.
package tools.prometheus.silences

import data.lib.demo

visible if demo.known

allow if {
	visible
	object.keys(arguments) - {"cursor", "states"} == set()
	every state in object.get(arguments, "states", []) {
		state in {"active", "pending"}
	}
}

arguments := object.get(input.call, "arguments", {})
