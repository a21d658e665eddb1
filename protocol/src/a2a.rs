//! A2A: what agents say to each other, and the cards by which they are found.

pub mod card;
