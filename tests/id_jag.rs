//! An identity provider that says for whom the gateway may ask.
