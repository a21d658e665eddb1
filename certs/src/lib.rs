//! Where an SVID comes from, how it is renewed, and what a peer's must look like.
//!
//! An [`IdentitySource`] holds this workload's X.509-SVID and the trust bundles; [`tls`] makes rustls configurations
//! that read it at each handshake, so that a rotation needs no restart and touches no open connection. Sources are
//! [`files`], the SPIFFE [`workload_api`], and a [`development`] trust domain that writes such files; [`federation`] adds the
//! bundles of other trust domains. JWT-SVIDs and their keys are in [`jwt`]. Connections of mutual TLS are served through
//! [`undisturbed`].

pub mod bundle;
pub mod clock;
pub mod development;
pub mod federation;
pub mod files;
pub mod identity;
pub mod jwt;
pub mod peer;
pub mod tls;
pub mod undisturbed;
pub mod workload_api;

pub use clock::Clock;
pub use identity::{
    Identity, IdentityError, IdentitySource, OneGeneration, SharedSource, SourceStatus, TrustBundles,
    X509Svid,
};
pub use peer::{Peer, SvidError};
pub use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};
pub use undisturbed::undisturbed;

/// Makes aws-lc-rs the process's TLS provider. To be called first in `main`: other crates install theirs if none is there.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default(); // An error says that one is installed.
}
