//! What is permitted: the layers of an actor's permission, each of which denies on its own, and the explanation of what they
//! say.
//!
//! > effective permission = class ceiling ∩ admin consent ∩ user's delegation ∩ every ancestor's effective permission ∩ this request
//!
//! INVARIANT: it fails closed. What is absent, over, unknown or cannot be evaluated denies.
//!
//! What one line of a permission cannot say, a class says in Cedar. [`cedar::compile`] has Cedar read and check the text, so that
//! a policy means what Cedar's own tools say it means. What it gives back is a form of our own, [`policies::Policies`]: a parsed
//! policy of Cedar takes some thirty kilobytes, and thousands of classes have to be kept.
//!
//! INVARIANT: for every policy that compiles, the judgement is the one that Cedar comes to. Where a request says something of
//! another type than was declared, it is an error instead: Cedar would not see that something was said at all.

pub mod asked;
pub mod brief;
pub mod cedar;
pub mod decision;
pub mod evaluate;
mod expression;
mod grant;
pub mod inquiry;
pub mod judged;
mod layer;
pub mod policies;
pub mod together;
pub mod verdict;
