# Who may see which language models there are. A name is no secret; what may be
# asked of a model, its tool's own file says.
package tools.inference.list_models

import data.lib.demo

# The demo agent, acting for some person.
visible if demo.known

allow if visible
