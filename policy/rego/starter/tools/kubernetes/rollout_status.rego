# Who may follow which rollouts.
package tools.kubernetes.rollout_status

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
}
