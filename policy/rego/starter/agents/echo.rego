# Who may talk to the demo agent, and about what.
package agents.echo

# Who finds it: the demo agent, acting for some person.
visible if {
	input.caller.path == ["agent", "demo"]
	input.subject != null
}

allow if visible

# A message is text, and nothing else is passed on.
deny contains "text_only" if {
	some part in input.call.message.parts
	part.kind != "text"
}

# Passwords are nothing to tell an agent.
deny contains "password" if {
	some part in input.call.message.parts
	part.kind == "text"
	contains(lower(part.text), "password")
}
