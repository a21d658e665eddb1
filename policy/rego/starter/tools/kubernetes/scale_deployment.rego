# Who may scale what, and how far.
package tools.kubernetes.scale_deployment

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
	cluster.few(input.call.arguments.replicas)
}
