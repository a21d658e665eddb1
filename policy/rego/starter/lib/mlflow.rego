# What the policies of mlflow share: who may at all, and what belongs to the demo.
package lib.mlflow

import data.lib.demo

# The demo agent, acting for some person.
known if demo.known

# The demo's experiments and models begin so; those of others don't.
ours(name) if startswith(name, "demo-")

all_ours(names) if {
	count(names) > 0
	every name in names {
		ours(name)
	}
}
