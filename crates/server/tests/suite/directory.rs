//! The data directory: whose it is, and what else may be found there.

use crate::house::{House, config};
use credence_model::spiffe_id::TrustDomain;
use credence_server::config::Config;
use credence_server::listeners::ListenersError;
use credence_server::start::{Server, StartError};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

async fn refused(config: Config) -> String {
    match Server::start(config).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_directory_in_use_is_left_alone() {
    let house = House::furnished().await;
    let before = house.last_index().await;
    let message = refused(house.config().clone()).await;
    assert!(message.contains("is in use by process") && message.contains("--data-dir"), "{message}");
    // The server that runs was not disturbed: its socket is still there, and nothing was recorded.
    assert_eq!(house.last_index().await, before);
    house.close().await;
}

#[tokio::test]
async fn a_path_that_is_a_file_is_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    for path in [file.clone(), file.join("below")] {
        let message = refused(config(&path)).await;
        assert!(message.contains(path.to_str().unwrap()) && message.contains("--data-dir"), "{message}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn a_directory_of_a_newer_version_is_not_touched() {
    let house = House::furnished().await;
    let (config, dir) = house.leave().await;
    let version = config.data_dir.join("journal/VERSION");
    std::fs::write(&version, "credence-journal 2\n").unwrap();
    let message = refused(config.clone()).await;
    assert!(message.contains("format version 2") && message.contains("start the newer program"), "{message}");
    assert_eq!(std::fs::read_to_string(&version).unwrap(), "credence-journal 2\n");
    std::fs::write(&version, "credence-journal 1\n").unwrap();
    let house = House::enter(dir, config).await;
    assert_eq!(house.admin().get("/v1/classes/finance/expense-agent").await.ok()["revision"], 1);
    house.close().await;
}

#[tokio::test]
async fn a_directory_of_another_trust_domain_is_refused() {
    let (mut config, _dir) = House::furnished().await.leave().await;
    config.settings.trust_domain = TrustDomain::parse("other.internal").unwrap();
    let message = refused(config).await;
    assert!(message.contains("belongs to trust domain test.internal"), "{message}");
}

/// The sockets' own permissions are the first door; the kernel says who came through it.
#[tokio::test]
async fn further_administrators_reach_their_socket_and_nothing_beside_it() {
    let house = House::furnished_with(|config| config.admin_uids = vec![12_345]).await;
    let dir = house.config().data_dir.clone();
    assert_eq!((mode(&dir), mode(&dir.join("server.sock"))), (0o711, 0o666));
    for name in ["journal", "authority", "archives"] {
        assert_eq!(mode(&dir.join(name)), 0o700, "{name}");
    }
    assert_eq!(mode(&dir.join("token-seed")), 0o600);
    house.close().await;
}

#[tokio::test]
async fn what_is_secret_is_readable_by_its_owner_only() {
    let house = House::furnished().await;
    let dir = house.config().data_dir.clone();
    assert_eq!(mode(&dir), 0o700);
    let mut files = 0;
    for name in ["token-seed", "server.sock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    for entry in std::fs::read_dir(dir.join("authority")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        if String::from_utf8_lossy(&text).contains("PRIVATE KEY") {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 0);
    house.close().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_and_the_directory_is_free_again() {
    let house = House::open().await;
    let dir = tempfile::tempdir().unwrap();
    let mut taken = config(&dir.path().join("data"));
    taken.listen = house.server.addr();
    let error = Server::start(taken.clone()).await.map(|_| ()).unwrap_err();
    assert!(
        matches!(error, StartError::Listeners(ListenersError::Listen { addr, .. }) if addr == house.server.addr()),
        "{error}"
    );
    assert!(error.to_string().contains("--listen"), "{error}");
    taken.listen.set_port(0);
    Server::start(taken).await.unwrap().stop().await;
    house.close().await;
}

#[tokio::test]
async fn a_damaged_token_seed_stops_the_start_and_says_what_to_do() {
    let (config, dir) = House::open().await.leave().await;
    let seed = config.data_dir.join("token-seed");
    std::fs::write(&seed, "short").unwrap();
    let message = refused(config.clone()).await;
    assert!(message.contains("token-seed") && message.contains("remove it"), "{message}");
    std::fs::remove_file(&seed).unwrap();
    House::enter(dir, config).await.close().await;
}
