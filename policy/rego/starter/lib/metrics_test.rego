package lib.metrics_test

import data.lib.metrics

cases := {
	"up": {"metrics": ["up"], "want": true},
	"families": {"metrics": ["process_cpu_seconds_total", "sallyport_requests_total"], "want": true},
	"one too many": {"metrics": ["up", "payroll_total"], "want": false},
	"none": {"metrics": [], "want": false},
	"no list": {"metrics": "up", "want": false},
	"an object": {"metrics": {"a": "up"}, "want": false},
	"no text": {"metrics": [1], "want": false},
	"a longer name": {"metrics": ["upper"], "want": false},
	"a selector": {"metrics": ["go_x{job=\"a\"}"], "want": false},
}

test_all_open[name] if {
	some name, case in cases
	is_open(case.metrics) == case.want
}

is_open(list) if metrics.all_open(list)

else := false
