# Who may restart what.
package tools.kubernetes.rollout_restart

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
}
