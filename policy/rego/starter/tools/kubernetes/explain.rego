# Who may read what fields mean: that is no secret, of the kinds that can be read.
package tools.kubernetes.explain

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.readable(input.call.arguments.kind)
}
