//! Configuration files. They come from the operator, and what is wrong in them must be said, not guessed.

use super::refused_alike;
use credence_node::config as node;
use credence_server::config as server;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The server's configuration: understood or refused, the same twice, and within its limits.
pub fn server_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = || server::ConfigFile::parse(Path::new("c.toml"), text).and_then(server::ConfigFile::resolve);
    match (read(), read()) {
        (Ok(one), Ok(two)) => {
            assert_eq!(format!("{one:?}"), format!("{two:?}"));
            assert!(text.len() <= server::CONFIG_BYTES_MAX);
            assert!(one.dns_names.len() + one.ip_addrs.len() <= server::NAMES_MAX);
            assert!(one.admins.len() <= server::ADMINS_MAX && one.admin_uids.len() <= server::ADMINS_MAX);
        }
        (Err(one), Err(two)) => refused_alike(one, two),
        (one, two) => panic!("read in two ways: {:?} and {:?}", one.is_ok(), two.is_ok()),
    }
}

/// The node's configuration: as the server's.
pub fn node_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = || {
        let file = node::ConfigFile::parse(Path::new("c.toml"), text)?;
        file.resolve((PathBuf::from("/bin/true"), Vec::new()), BTreeMap::new(), PathBuf::from("/run"))
    };
    match (read(), read()) {
        (Ok(one), Ok(two)) => {
            assert_eq!(format!("{one:?}"), format!("{two:?}"));
            assert!(one.data_dir.is_absolute() && one.workers.len() <= node::WORKERS_MAX);
        }
        (Err(one), Err(two)) => refused_alike(one, two),
        (one, two) => panic!("read in two ways: {:?} and {:?}", one.is_ok(), two.is_ok()),
    }
}
