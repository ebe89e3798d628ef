//! Policies in Cedar: which are taken and which are refused, what they come to, and that it is what Cedar comes to.

mod compile;
mod differential;
mod judge;
mod limits;
mod world;
mod writer;
