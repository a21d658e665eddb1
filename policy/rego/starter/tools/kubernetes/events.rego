# Who may read events.
package tools.kubernetes.events

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
}
