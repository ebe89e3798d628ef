//! Who may administer this server: by SPIFFE ID, or by user id on this machine. Replaced as a whole when the configuration
//! is read again.

use crate::config::Config;
use credence_model::spiffe_id::SpiffeId;
use std::sync::{PoisonError, RwLock};

/// Who may administer.
pub(crate) struct Administrators(RwLock<Listed>);

struct Listed {
    ids: Vec<SpiffeId>,
    uids: Vec<u32>,
}

impl Administrators {
    pub(crate) fn new(config: &Config) -> Self {
        Self(RwLock::new(Listed::of(config)))
    }

    pub(crate) fn replace(&self, config: &Config) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Listed::of(config);
    }

    pub(crate) fn has_id(&self, id: &SpiffeId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).ids.contains(id)
    }

    pub(crate) fn has_uid(&self, uid: u32) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).uids.contains(&uid)
    }
}

impl Listed {
    /// Root and the server's own user always may.
    fn of(config: &Config) -> Self {
        let mut uids = config.admin_uids.clone();
        uids.extend([0, rustix::process::getuid().as_raw()]);
        Self { ids: config.admins.clone(), uids }
    }
}
