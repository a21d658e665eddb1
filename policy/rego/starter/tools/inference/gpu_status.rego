# Who may see what the GPUs of the machine do.
package tools.inference.gpu_status

# The demo agent, acting for some person.
visible if {
	input.caller.path == ["agent", "demo"]
	input.subject != null
}

allow if visible
