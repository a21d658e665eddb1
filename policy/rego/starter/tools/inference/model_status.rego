# Of which language models one may see how their backends are.
package tools.inference.model_status

import data.lib.demo
import data.lib.models

# Who sees the tool at all: the demo agent, acting for some person.
visible if demo.known

# Which calls are allowed: the model that may be asked, too.
allow if {
	visible
	models.allowed(input.call.arguments.model)
}
