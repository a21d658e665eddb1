//! What Sallyport does, told as stories: a file for each behaviour, a sentence for each test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

mod arguments; //    what an agent may do depends on what it says
mod handshake; //    who gets past the first door, and for how long
mod tokens; //       on whose behalf, and proven how
mod decoding; //     what is refused before anybody is asked
mod methods; //      every method of every version, and the package that is asked
mod decisions; //    policy that errs, loops, is missing or is changed
mod lists; //        listed if and only if callable
mod exchange; //     what is minted, for whom, and for no one else
mod upstreams; //    what goes out, what comes back, and how both end
mod server_requests; // what a server asks of its clients
mod limits; //       how much of everything, and what happens at one more
mod records; //      one record for each request, in a chain
mod command_line; // what a newcomer types
mod h2spec; //       HTTP/2 as its conformance kit knows it
mod clients; //      the official SDKs, through `sallyport up`
mod s3; //           the S3 server behind the gate
