# Who may see how a pod is.
package tools.kubernetes.get_pod_status

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
}
