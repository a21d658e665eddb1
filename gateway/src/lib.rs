//! Sallyport, the gateway: nine stages between a caller's handshake and the last byte of its answer.
//!
//! The modules below stand in the order in which a request meets them; [`request`] calls them in that order and is the
//! file to read first. What is not a stage follows after them.

pub mod request;

pub mod listener; // 1  accept, mutual TLS, connection limits            -> Handshake
pub mod identity; // 2  the peer's X.509-SVID, judged again              -> Caller
pub mod token; //    3  bearer token: issuer, audience, expiry, presenter -> SubjectToken
pub mod decode; //   4  the body, through crate `protocol`               -> Call
pub mod authorize; //5  principal + call, asked of crate `policy`        -> Permit or Denial
pub mod exchange; // 6  permit + subject token, RFC 8693                 -> Credential for one audience
pub mod route; //    7  the permit's server                              -> Upstream
pub mod upstream; // 8  connect, send, stream back                       -> Response
pub mod audit; //    9  one record per request: opened first, written last, on every exit

pub mod reply;
pub mod session; // whose a 2025 session is; opened between stages 4 and 5
pub mod tasks; // whose an agent's task is; looked up between stages 4 and 5, noted behind stage 8
pub mod cards; // agents' cards: followed, and asked behind stage 5; served in the place of stages 6 to 8
pub mod push; // agents' events on their way to who asked for them; registered behind stage 5, shown behind stage 8
pub mod observed;
pub mod metrics;
pub mod traces;
pub mod admin;
pub mod metadata;
pub mod one_url; // all servers at one URL; in the place of all stages behind the second, which it runs once more for each
pub mod registry; // the agents that a caller may talk to
mod digest;
pub mod delegation; // chains of actors; judged in stages 3 and 6
pub mod revocation; // what is revoked before its time; asked in stages 2 to 5, and of open streams
pub mod state;
pub mod reload;
pub mod federation;
pub mod config;
pub mod engine;
pub mod https;
pub mod redis;
pub mod jwks;
mod watched; // a file that is looked at again and again
pub mod run;
pub mod token_service;
pub mod workload_api;
pub mod up;
pub mod cli;
