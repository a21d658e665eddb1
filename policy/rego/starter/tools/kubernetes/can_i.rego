# Who may ask what the cluster would allow.
package tools.kubernetes.can_i

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
}
