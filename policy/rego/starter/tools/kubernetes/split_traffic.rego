# Who may split which traffic.
package tools.kubernetes.split_traffic

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
}
