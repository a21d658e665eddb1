# Who may read which objects.
package tools.kubernetes.get

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
	cluster.readable(input.call.arguments.kind)
}
