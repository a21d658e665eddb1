package tools.kubernetes.apply_manifest_test

import data.tools.kubernetes.apply_manifest

# The call that is allowed; each case changes one thing of it.
good := {
	"caller": {"path": ["agent", "demo"]},
	"subject": {"sub": "alice"},
	"call": {"arguments": {"namespace": "staging", "manifests": [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 3}}]}},
}

cases := {
	"as it is": {"want": true, "patch": []},
	"production": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "production"}]},
	"all namespaces": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments/namespace"}]},
	"longer name": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": "staging-2"}]},
	"no string": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/namespace", "value": ["staging"]}]},
	"a trial": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/dry_run", "value": true}]},
	"by force": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/force", "value": true}]},
	"300 replicas": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/manifests/0/spec/replicas", "value": 300}]},
	"into production by itself": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/manifests/0/metadata/namespace", "value": "production"}]},
	"a secret": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/manifests/0/kind", "value": "Secret"}]},
	"a role beside it": {"want": false, "patch": [{"op": "add", "path": "/call/arguments/manifests/-", "value": {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}}]},
	"a service beside it": {"want": true, "patch": [{"op": "add", "path": "/call/arguments/manifests/-", "value": {"apiVersion": "v1", "kind": "Service"}}]},
	"none": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/manifests", "value": []}]},
	"an object": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/manifests", "value": {"a": {"apiVersion": "v1", "kind": "Service"}}}]},
	"text": {"want": false, "patch": [{"op": "replace", "path": "/call/arguments/manifests", "value": "kind: Deployment"}]},
	"no arguments": {"want": false, "patch": [{"op": "remove", "path": "/call/arguments"}]},
	"other agent": {"want": false, "patch": [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}]},
	"no person": {"want": false, "patch": [{"op": "replace", "path": "/subject", "value": null}]},
}

test_cases[name] if {
	some name, case in cases
	is_allowed(json.patch(good, case.patch)) == case.want
}

is_allowed(call) if apply_manifest.allow with input as call

else := false

# A list has no arguments.
test_visible if apply_manifest.visible with input as json.remove(good, ["call/arguments"])

test_hidden_from_others if not apply_manifest.visible with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])
