# Who may talk to which language model, and for how many tokens.
package tools.inference.chat

import data.lib.demo
import data.lib.models

# Who sees the tool at all: the demo agent, acting for some person.
visible if demo.known

# Which calls are allowed: the small model, for as many tokens as the call says.
allow if {
	visible
	models.allowed(input.call.arguments.model)
	models.within(input.call.arguments.max_tokens, 256)
}
