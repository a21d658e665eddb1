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
# reads no Secret: it could write that into its log. A Service of it is for the cluster alone.
harmless(manifest) if {
	writable(manifest.kind)
	object.get(manifest, ["metadata", "namespace"], "staging") == "staging"
	few(object.get(manifest, ["spec", "replicas"], 1))
	object.get(manifest, ["spec", "type"], "ClusterIP") == "ClusterIP"
	not reaches_out(manifest)
}

reaches_out(manifest) if {
	walk(manifest, [path, value])
	outward(path, value)
}

outward(path, _) if path[count(path) - 1] in {
	"externalIPs",
	"hostIPC",
	"hostNetwork",
	"hostPID",
	"hostPath",
	"hostPort",
	"podCertificate",
	"privileged",
	"procMount",
	"seLinuxOptions",
	"secret",
	"secretKeyRef",
	"secretRef",
	"serviceAccount",
	"serviceAccountName",
	"serviceAccountToken",
	"sysctls",
	"windowsOptions",
}

# Capabilities beyond the usual ones, and probes that the node sends elsewhere.
outward(path, _) if [path[count(path) - 2], path[count(path) - 1]] in {
	["capabilities", "add"],
	["httpGet", "host"],
	["tcpSocket", "host"],
}

# Volumes that are more than the pod's own, its configuration and its claims: a driver may bring a Secret.
outward(path, volumes) if {
	path[count(path) - 1] == "volumes"
	some volume in volumes
	some kind, _ in volume
	not kind in {"configMap", "downwardAPI", "emptyDir", "name", "persistentVolumeClaim", "projected"}
}

# Of seccomp and AppArmor.
outward(_, value) if value in {"Unconfined", "unconfined"}
