# Whom the starter policy is for.
package lib.demo

# The demo agent, acting for some person.
known if {
	input.caller.path == ["agent", "demo"]
	input.subject != null
}
