//! For tests only; no program links it: a deterministic simulator over the real model, cell and node logic.

pub mod sim;
