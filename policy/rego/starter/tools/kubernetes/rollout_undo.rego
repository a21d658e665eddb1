# Who may undo which rollouts.
package tools.kubernetes.rollout_undo

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
}
