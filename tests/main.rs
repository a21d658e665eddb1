//! What Sallyport does, told as stories: a file for each behaviour, a sentence for each test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

mod arguments; //    what an agent may do depends on what it says
mod handshake; //    who gets past the first door, and for how long
mod workload_api; // an identity that an agent gives, renews and takes away
mod svids; //        one list of stories over each agent: ours and SPIRE's
mod federation; //   callers of other trust domains
mod tokens; //       on whose behalf, and proven how
mod issuers; //      whose tokens count, where their keys are, and what they say
mod decoding; //     what is refused before anybody is asked
mod methods; //      every method of every version, and the package that is asked
mod decisions; //    policy that errs, loops, is missing or is changed
mod inputs; //       policy sees what its reference says
mod lists; //        listed if and only if callable
mod one_url; //      all servers at one URL
mod one_url_sessions; // the same before 2026-07-28
mod one_url_ends; //     how its sessions end, and those behind them
mod one_url_hostile; //  the same where a server means no good
mod one_url_clients; // the same through the official SDKs, before our own servers
mod sessions; //     whose a session is
mod cards; //        what an agent says of itself, who vouches for it, and who sees it
mod a2a; //          whose an agent's tasks are, and what may be said to it
mod a2a_interleaved; // the same in any order, at two gateways
mod a2a_lists; //    a list of tasks is its caller's own
mod a2a_skills; //   what an agent says that it can do, and which of that a caller names
mod a2a_hosts; //   an agent that has a host name of the gateway for itself
mod a2a_methods; //  every operation in every binding, for whom
mod a2a_chain; //   from a person over agents to a tool: who acted grows, what may be done shrinks
mod push; //         where a task's events go, and what the agent learns of that
mod push_configs; //  how that is asked for, and to whom it is shown
mod push_delivery; // how an event gets there, and when it does not
mod a2a_peers; //    the same through the official SDKs, on both sides
mod registry; //     which agents there are, for whom
mod sign_in; //      people sign in, and what their programs get
mod delegation; //   agents that call onward, and what shrinks with each hop
mod revocation; //   what is revoked before its time, open streams included
mod shared_revocation; // one list in a Redis, and the gateways that hold to it
mod shared_store; // whose tasks are, kept in each kind of store and told alike
mod shared_tasks; // one task, and the gateways that know whose it is by a Redis
mod exchange; //     what is minted, for whom, and for no one else
mod token_services; // those that are not ours
mod exchange_services; // one list of stories over each make of them
mod client_proofs; // how the gateway proves to them who it is
mod id_jag; //       an identity provider that says for whom it may ask
mod upstreams; //    what goes out, what comes back, and how both end
mod server_requests; // what a server asks of its clients
mod limits; //       how much of everything, and what happens at one more
mod records; //      one record for each request, in a chain
mod sight; //        what a gateway says of itself, and to whom
mod durability; //   what is left of the records when the disk is full, or the gateway is killed
mod secrets; //      what must never be written down
mod first_policy; // its first page, typed word by word
mod verify; //       a damaged file of records, and what is said of it
mod command_line; // what a newcomer types
mod deploy; //       what the manifests would run
mod h2spec; //       HTTP/2 as its conformance kit knows it
mod clients; //      the official SDKs, through `sallyport up`
mod step_up; //      a call that needs more scopes, through them
mod refusals; //     what a program hears of a refusal through them
mod echo; //         the demo agent behind it, and how it is found
mod up_servers; //   five servers behind it, each before the real system
mod s3; //           the S3 server behind the gate
mod s3_store; //     all its tools before a real S3 service, looked at by AWS's own SDK
mod s3_azure; //     the same server before an emulator of Azure
mod mlflow; //       the MLflow server behind it, before a real MLflow
mod prometheus; //   the Prometheus server behind it, before a real Prometheus
mod prometheus_starter; // all its tools under the starter policy, each with a twin
mod kubernetes; //   the Kubernetes server behind it, before a real cluster
mod inference; //    the server of language models behind it, before a model and real servers
mod adding_a_server; // a server of one's own, as its guide writes it
mod mcp_conformance; // MCP as its conformance kit knows it
