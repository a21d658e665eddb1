//! JSON Web Tokens: bytes to claims and claims to bytes; no I/O, and the time is an input.
//!
//! The only crate that names `jsonwebtoken`, so that each of its traps is closed once, for the gateway and for the
//! servers behind it: the algorithm comes from the JWK and never from the token, required claims are required,
//! an unknown `crit` refuses, and no leeway is more than what the caller asked for.

pub mod claims;
pub mod jws;
pub mod keys;
pub mod secret;
pub mod sign;
pub mod verify;

pub use claims::{Claims, Mapping, x5t_s256};
pub use keys::{Keys, KeysError};
pub use secret::Secret;
pub use sign::{SigningError, SigningKey};
pub use verify::{Authentic, Claimed, Expect, TokenError, authentic, authentic_svid, claimed, verify};
