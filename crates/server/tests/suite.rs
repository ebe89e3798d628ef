//! The server from outside: a real one on a free port and in a fresh directory, spoken to over its real listeners.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "suite/bad_input.rs"]
mod bad_input;
#[path = "suite/control.rs"]
mod control;
#[path = "suite/decide.rs"]
mod decide;
#[path = "suite/directory.rs"]
mod directory;
#[path = "suite/disk.rs"]
mod disk;
#[path = "suite/door.rs"]
mod door;
#[path = "suite/golden.rs"]
mod golden;
#[path = "suite/guard.rs"]
mod guard;
#[path = "suite/hold.rs"]
mod hold;
#[path = "suite/house.rs"]
mod house;
#[path = "suite/limit.rs"]
mod limit;
#[path = "suite/node.rs"]
mod node;
#[path = "suite/node_bad_input.rs"]
mod node_bad_input;
#[path = "suite/node_client.rs"]
mod node_client;
#[path = "suite/observe.rs"]
mod observe;
#[path = "suite/past.rs"]
mod past;
#[path = "suite/permissions.rs"]
mod permissions;
#[path = "suite/rude.rs"]
mod rude;
#[path = "suite/search.rs"]
mod search;
#[path = "suite/size.rs"]
mod size;
#[path = "suite/strained.rs"]
mod strained;
