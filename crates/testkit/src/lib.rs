//! For tests only; no program links it: a deterministic simulator over the real model, cell and node logic, and the laws
//! that hold for any bytes from strangers.

pub mod fuzz;
pub mod sim;
