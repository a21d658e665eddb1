# Who may delete what: that which the same agent may apply.
package tools.kubernetes.delete

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
	cluster.writable(input.call.arguments.kind)
}
