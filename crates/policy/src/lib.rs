//! What is permitted: the layers of an actor's permission, each of which denies on its own, and the explanation of what they
//! say.
//!
//! > effective permission = class ceiling ∩ admin consent ∩ user's delegation ∩ every ancestor's effective permission ∩ this request
//!
//! INVARIANT: it fails closed. What is absent, over, unknown or cannot be evaluated denies.

pub mod brief;
pub mod decision;
mod grant;
mod layer;
pub mod verdict;
