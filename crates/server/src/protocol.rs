//! Protocols beside the control API: one module each.

pub(crate) mod node;
