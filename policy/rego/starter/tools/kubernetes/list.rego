# Who may list which objects.
package tools.kubernetes.list

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
	cluster.readable(input.call.arguments.kind)
}
