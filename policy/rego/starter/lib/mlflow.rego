# What the policies of mlflow share: who may at all, and what belongs to the demo.
package lib.mlflow

# The demo agent, acting for some person.
known if {
	input.caller.path == ["agent", "demo"]
	input.subject != null
}

# The demo's experiments and models begin so; those of others don't.
ours(name) if startswith(name, "demo-")

all_ours(names) if {
	count(names) > 0
	every name in names {
		ours(name)
	}
}
