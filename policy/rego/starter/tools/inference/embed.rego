# Which language model may make vectors, and of how many texts.
package tools.inference.embed

import data.lib.demo
import data.lib.models

# Who sees the tool at all: the demo agent, acting for some person.
visible if demo.known

# Which calls are allowed: the small model, a few texts at a time.
allow if {
	visible
	models.allowed(input.call.arguments.model)
	is_array(input.call.arguments.input)
	count(input.call.arguments.input) <= 16
}
