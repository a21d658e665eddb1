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
	"the node's disk": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/volumes", "value": [{"name": "v", "hostPath": {"path": "/"}}]}]},
	"another account": {"want": false, "patch": [{"op": "add", "path": "/spec/template/spec/serviceAccountName", "value": "admin"}]},
}

test_harmless[name] if {
	some name, case in cases
	is_harmless(json.patch(deployment, case.patch)) == case.want
}

is_harmless(manifest) if cluster.harmless(manifest)

else := false

test_few[replicas] if {
	some replicas, want in {"0": true, "10": true, "11": false, "-1": false, "300": false}
	is_few(to_number(replicas)) == want
}

is_few(replicas) if cluster.few(replicas)

else := false
