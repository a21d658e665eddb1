# Who may see what the GPUs of the machine do.
package tools.inference.gpu_status

import data.lib.demo

# The demo agent, acting for some person.
visible if demo.known

allow if visible
