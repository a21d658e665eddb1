# Who may see which language models there are. A name is no secret; what may be
# asked of a model, its tool's own file says.
package tools.inference.list_models

# The demo agent, acting for some person.
visible if {
	input.caller.path == ["agent", "demo"]
	input.subject != null
}

allow if visible
