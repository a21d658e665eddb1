# What the demo agent may touch of a Kubernetes cluster: one namespace, some kinds, few replicas.
package lib.cluster

import data.lib.demo

# Who sees the tools at all: the demo agent, acting for some person.
known if demo.known

# The call says the namespace itself: without one it would be all of them.
within if input.call.arguments.namespace == "staging"

readable(kind) if kind in {
	"ConfigMap",
	"Deployment",
	"HTTPRoute",
	"Pod",
	"ReplicaSet",
	"Service",
}

writable(kind) if kind in {"ConfigMap", "Deployment", "Service"}

# Of a Deployment.
few(replicas) if {
	replicas >= 0
	replicas <= 10
}

# A manifest of a kind, in the namespace of its call, with few replicas. A pod of it takes nothing from its node and
# reads no Secret: it could write that into its log.
harmless(manifest) if {
	writable(manifest.kind)
	object.get(manifest, ["metadata", "namespace"], "staging") == "staging"
	few(object.get(manifest, ["spec", "replicas"], 1))
	not reaches_out(manifest)
}

reaches_out(manifest) if {
	walk(manifest, [path, _])
	path[count(path) - 1] in {
		"hostIPC",
		"hostNetwork",
		"hostPID",
		"hostPath",
		"privileged",
		"secret",
		"secretKeyRef",
		"secretRef",
		"serviceAccount",
		"serviceAccountName",
	}
}
