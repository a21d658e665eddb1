# Who may read the logs of pods.
package tools.kubernetes.pod_logs

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
}
