//! Token services of every make, for one suite of stories (`exchange_services.rs`): a new one is one implementation of
//! [`TokenService`].

mod embedded;
mod keycloak;
mod oidc_provider;

pub use embedded::Embedded;
pub use keycloak::Keycloak;
pub use oidc_provider::OidcProvider;

use crate::World;

/// The server that credentials are for.
pub const LEDGER: &str = "spiffe://bank.test/mcp/ledger";

/// A token service that an operator has set up: alice may post entries and bob may not, nobody may open the vault, and the
/// clerk is known as their client.
pub trait TokenService: Sized {
    /// What it says where services differ.
    const SAYS: Says;

    /// Starts it for a world; none if it is not installed, and that has been said.
    fn start(world: &World) -> impl Future<Output = Option<Self>>;

    /// The gateway's configuration with it: what the world's says, with this leeway for the age of its tokens and with more
    /// lines of `token_service`.
    fn known(&self, config: &str, leeway: &str, options: &str) -> String;

    /// A token of somebody's for the clerk to present to the gateway.
    fn token(&self, world: &World, account: &'static str) -> impl Future<Output = String>;

    /// One of alice's that has expired not long ago.
    fn expired(&self, world: &World) -> impl Future<Output = String>;

    /// Ends it.
    fn goes(self, world: &World) -> impl Future<Output = ()>;
}

/// What a service says, as a caller of the gateway hears it.
pub struct Says {
    /// Whether its credentials name the actor.
    pub actor: Actor,
    /// Of a scope that nobody may have.
    pub wider: &'static str,
    /// Of a person who may not.
    pub person: &'static str,
    /// Of an audience that it doesn't know.
    pub audience: &'static str,
    /// Of a subject token that has expired.
    pub expired: &'static str,
    /// How a workload gets a credential without a person, as lines of `token_service`, and what becomes of that.
    pub alone: (&'static str, Result<&'static str, &'static str>),
}

/// Who says who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The credential.
    Named,
    /// The audit alone.
    Recorded,
}
