package lib.demo_test

import data.lib.demo

good := {"caller": {"path": ["agent", "demo"]}, "subject": {"sub": "alice"}}

test_known if demo.known with input as good

test_other_agent if not demo.known with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "other"]}])

test_longer_path if not demo.known with input as json.patch(good, [{"op": "replace", "path": "/caller/path", "value": ["agent", "demo", "x"]}])

test_no_person if not demo.known with input as json.patch(good, [{"op": "replace", "path": "/subject", "value": null}])
