package lib.cluster_test

import data.lib.cluster

deployment := {
	"apiVersion": "apps/v1",
	"kind": "Deployment",
	"metadata": {"name": "web"},
	"spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app", "image": "web:1"}]}}},
}

container := "/spec/template/spec/containers/0"

cases := {
	"as it is": {"want": true, "patch": []},
	"its own namespace": {"want": true, "patch": [{"op": "add", "path": "/metadata/namespace", "value": "staging"}]},
	"other namespace": {"want": false, "patch": [{"op": "add", "path": "/metadata/namespace", "value": "production"}]},
	"no replicas said": {"want": true, "patch": [{"op": "remove", "path": "/spec/replicas"}]},
	"many replicas": {"want": false, "patch": [{"op": "replace", "path": "/spec/replicas", "value": 300}]},
	"no number": {"want": false, "patch": [{"op": "replace", "path": "/spec/replicas", "value": "3"}]},
	"other kind": {"want": false, "patch": [{"op": "replace", "path": "/kind", "value": "ClusterRole"}]},
	"a secret": {"want": false, "patch": [{"op": "replace", "path": "/kind", "value": "Secret"}]},
	"no kind": {"want": false, "patch": [{"op": "remove", "path": "/kind"}]},
	"plain variable": {"want": true, "patch": [{"op": "add", "path": sprintf("%s/env", [container]), "value": [{"name": "a", "value": "b"}]}]},
	"variable of a secret": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/env", [container]), "value": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]}]},
	"all of a secret": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/envFrom", [container]), "value": [{"secretRef": {"name": "db"}}]}]},
	"privileged": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/securityContext", [container]), "value": {"privileged": true}}]},
	"the node's network": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/hostNetwork", "value": true}]},
	"the node's processes": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/hostPID", "value": true}]},
	"the node's memory": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/hostIPC", "value": true}]},
	"the node's disk": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "v", "hostPath": {"path": "/"}}]}]},
	"fewer capabilities": {"want": true, "patch": [{"op": "add", "path": sprintf("%s/securityContext", [container]), "value": {"capabilities": {"drop": ["ALL"]}}}]},
	"more capabilities": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/securityContext", [container]), "value": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
	"all of proc": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/securityContext", [container]), "value": {"procMount": "Unmasked"}}]},
	"the usual calls": {"want": true, "patch": [{"op": "add", "path": sprintf("%s/securityContext", [container]), "value": {"seccompProfile": {"type": "RuntimeDefault"}}}]},
	"any call": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/securityContext", [container]), "value": {"seccompProfile": {"type": "Unconfined"}}}]},
	"no AppArmor": {"want": false, "patch": [{"op": "add", "path": "/spec/template/metadata", "value": {"annotations": {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"}}}]},
	"another SELinux type": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/securityContext", [container]), "value": {"seLinuxOptions": {"type": "spc_t"}}}]},
	"the node's settings": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/securityContext", "value": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}]},
	"a process of the node": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/securityContext", [container]), "value": {"windowsOptions": {"hostProcess": true}}}]},
	"a port": {"want": true, "patch": [{"op": "add", "path": sprintf("%s/ports", [container]), "value": [{"containerPort": 80}]}]},
	"a port of the node": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/ports", [container]), "value": [{"containerPort": 80, "hostPort": 80}]}]},
	"a probe": {"want": true, "patch": [{"op": "add", "path": sprintf("%s/livenessProbe", [container]), "value": {"httpGet": {"port": 80}}}]},
	"a probe of others": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/livenessProbe", [container]), "value": {"httpGet": {"host": "10.0.0.1", "port": 80}}}]},
	"a connection to others": {"want": false, "patch": [{"op": "add", "path": sprintf("%s/livenessProbe", [container]), "value": {"tcpSocket": {"host": "10.0.0.1", "port": 80}}}]},
	"a disk of its own": {"want": true, "patch": [{"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "web"}}]}]},
	"a driver's disk": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "v", "csi": {"driver": "secrets-store.csi.k8s.io"}}]}]},
	"a token for somebody else": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "t"}}]}}]}]},
	"a certificate of its own": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "v", "projected": {"sources": [{"podCertificate": {"signerName": "a/b", "keyType": "ED25519"}}]}}]}]},
	"a secret among others": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "v", "projected": {"sources": [{"secret": {"name": "db"}}]}}]}]},
	"another account by its old name": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/serviceAccount", "value": "admin"}]},
	"another account": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/serviceAccountName", "value": "admin"}]},
}

test_harmless[name] if {
	some name, case in cases
	is_harmless(json.patch(deployment, case.patch)) == case.want
}

services := {
	"as it is": {"want": true, "spec": {"ports": [{"port": 80}]}},
	"said": {"want": true, "spec": {"type": "ClusterIP"}},
	"a port of each node": {"want": false, "spec": {"type": "NodePort"}},
	"an address outside": {"want": false, "spec": {"type": "LoadBalancer"}},
	"another name": {"want": false, "spec": {"type": "ExternalName", "externalName": "evil.test"}},
	"others' addresses": {"want": false, "spec": {"externalIPs": ["10.0.0.1"]}},
}

test_services[name] if {
	some name, case in services
	is_harmless({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": case.spec}) == case.want
}

is_harmless(manifest) if cluster.harmless(manifest)

else := false

test_few[replicas] if {
	some replicas, want in {"0": true, "10": true, "11": false, "-1": false, "300": false}
	is_few(to_number(replicas)) == want
}

is_few(replicas) if cluster.few(replicas)

else := false
