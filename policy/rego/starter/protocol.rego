# What opens, keeps and ends a session, and the lists. Any caller that the first
# door let in may do that, and nothing more: each item of a list is judged by its
# own policy (rule visible), and each call by its tool's.
package protocol

allow if input.call.method in {
	"initialize",
	"ping",
	"server/discover",
	"logging/setLevel",
	"tools/list",
	"resources/list",
	"resources/templates/list",
	"prompts/list",
	"subscriptions/listen",
	"session/stream", # the GET of a 2025 session
	"session/end", # its DELETE
	"session/answer", # an answer to the server, where the configuration lets it ask
}

allow if startswith(input.call.method, "notifications/")
