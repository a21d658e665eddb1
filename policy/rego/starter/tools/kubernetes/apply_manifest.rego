# Who may apply what: a few harmless objects in one namespace, over nobody else's fields.
package tools.kubernetes.apply_manifest

import data.lib.cluster

visible if cluster.known

allow if {
	visible
	cluster.within
	not input.call.arguments.force
	is_array(input.call.arguments.manifests)
	count(input.call.arguments.manifests) in numbers.range(1, 5)
	every manifest in input.call.arguments.manifests {
		cluster.harmless(manifest)
	}
}
