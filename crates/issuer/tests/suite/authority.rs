use credence_credential::key::KeyAlgorithm;
use credence_credential::x509_svid;
use credence_issuer::{Authority, AuthorityError, Config};
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const YEAR_SECS: u64 = 365 * 86_400;

/// A directory for an authority, not there yet.
struct Place {
    _parent: TempDir,
    dir: PathBuf,
}

impl Place {
    fn new() -> Self {
        let parent = tempfile::tempdir().expect("a directory");
        let dir = parent.path().join("data/authority");
        Self { _parent: parent, dir }
    }

    fn open(&self, config: &Config, now: Timestamp) -> Result<Authority, AuthorityError> {
        Authority::open_or_create(&self.dir, config, now)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn refused(&self, config: &Config, now: Timestamp) -> String {
        self.open(config, now).expect_err("opened").to_string()
    }
}

fn config() -> Config {
    Config::new(TrustDomain::parse("td.test").expect("valid"))
}

fn with_intermediate() -> Config {
    Config { intermediate: true, ..config() }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn an_authority_of_every_kind_is_the_same_after_a_restart_and_its_files_are_its_own() {
    for algorithm in KeyAlgorithm::ALL {
        for intermediate in [false, true] {
            let (place, config) = (Place::new(), Config { algorithm, intermediate, ..config() });
            let first = place.open(&config, NOW).expect("created");
            let again = place.open(&config, NOW.plus_secs(60)).expect("opened");
            assert_eq!((first.root(), first.not_after()), (again.root(), again.not_after()));
            assert_eq!(mode(&place.dir), 0o700);
            let names: Vec<_> =
                fs::read_dir(&place.dir).expect("there").map(|entry| entry.expect("an entry")).collect();
            assert_eq!(names.len(), if intermediate { 5 } else { 3 });
            names.iter().for_each(|entry| assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path()));
            let root = x509_svid::inspect(first.root()).expect("readable");
            assert_eq!(root.spiffe_id.map(|id| id.to_string()).as_deref(), Some("spiffe://td.test"));
            assert_eq!(root.not_after, NOW.plus_secs(10 * YEAR_SECS));
        }
    }
}

#[test]
fn keys_that_others_can_read_are_not_used() {
    for (name, bad_mode) in [("root.key.pem", 0o640), ("jwt.key.pem", 0o604), ("intermediate.key.pem", 0o660)] {
        let place = Place::new();
        place.open(&with_intermediate(), NOW).expect("created");
        fs::set_permissions(place.file(name), Permissions::from_mode(bad_mode)).expect("set");
        let error = place.refused(&with_intermediate(), NOW);
        assert!(error.contains("chmod 600") && error.contains(name), "{error}");
    }
    let place = Place::new();
    place.open(&config(), NOW).expect("created");
    fs::set_permissions(&place.dir, Permissions::from_mode(0o750)).expect("set");
    assert!(place.refused(&config(), NOW).contains("chmod 700"));
}

#[test]
fn a_configuration_that_does_not_fit_the_files_is_refused_and_changes_nothing() {
    let place = Place::new();
    let root = place.open(&config(), NOW).expect("created").root().to_vec();
    let other_name = Config { trust_domain: TrustDomain::parse("other.test").expect("valid"), ..config() };
    let other_kind = Config { algorithm: KeyAlgorithm::Ed25519, ..config() };
    let other_jwt = Config { algorithm: KeyAlgorithm::EcdsaP384, ..config() };
    for (config, message) in [
        (other_name, "belongs to the trust domain td.test"),
        (other_kind, "is an ECDSA P-256 key but the configuration asks for Ed25519"),
        (other_jwt, "is an ECDSA P-256 key but the configuration asks for ECDSA P-384"),
    ] {
        let error = place.refused(&config, NOW);
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(place.open(&config(), NOW).expect("opened").root(), root);
}

#[test]
fn files_that_do_not_belong_together_stop_the_start_and_are_named() {
    let (place, other) = (Place::new(), Place::new());
    place.open(&config(), NOW).expect("created");
    other.open(&config(), NOW).expect("created");
    fs::copy(other.file("root.key.pem"), place.file("root.key.pem")).expect("copied");
    assert!(place.refused(&config(), NOW).contains("does not belong to the private key"));
    fs::write(place.file("root.key.pem"), "nothing").expect("written");
    assert!(place.refused(&config(), NOW).contains("PEM block `PRIVATE KEY`"));
    fs::remove_file(place.file("root.key.pem")).expect("removed");
    assert!(place.refused(&config(), NOW).contains("root.key.pem is missing"));
    fs::copy(other.file("root.cert.pem"), place.file("root.cert.pem")).expect("copied");
    let mut certificate = fs::read_to_string(place.file("root.cert.pem")).expect("text");
    certificate.replace_range(40..44, "AAAA");
    fs::write(place.file("root.cert.pem"), certificate).expect("written");
    assert!(place.refused(&config(), NOW).contains("root.cert.pem"));
}

#[test]
fn an_interrupted_creation_is_finished_by_the_next_start() {
    let place = Place::new();
    place.open(&with_intermediate(), NOW).expect("created");
    let key = fs::read(place.file("root.key.pem")).expect("a key");
    for name in ["root.cert.pem", "intermediate.cert.pem", "jwt.key.pem"] {
        fs::remove_file(place.file(name)).expect("removed");
    }
    fs::write(place.file("jwt.key.pem.new"), "half a k").expect("written");
    place.open(&with_intermediate(), NOW).expect("finished");
    assert_eq!(fs::read(place.file("root.key.pem")).expect("a key"), key);
    assert!(!place.file("jwt.key.pem.new").exists());
}

#[test]
fn an_intermediate_is_renewed_after_half_of_its_life_below_the_same_root() {
    let place = Place::new();
    let first = place.open(&with_intermediate(), NOW).expect("created");
    let kept = place.open(&with_intermediate(), NOW.plus_secs(YEAR_SECS / 2 - 100)).expect("opened");
    let renewed = place.open(&with_intermediate(), NOW.plus_secs(YEAR_SECS / 2 + 100)).expect("opened");
    assert_eq!(kept.not_after(), first.not_after());
    assert!(renewed.not_after() > first.not_after());
    assert_eq!(renewed.root(), first.root());
    let last = place.open(&with_intermediate(), NOW.plus_secs(10 * YEAR_SECS - 100)).expect("opened");
    assert_eq!(last.not_after(), NOW.plus_secs(10 * YEAR_SECS), "never beyond the root");
    assert!(place.refused(&with_intermediate(), NOW.plus_secs(10 * YEAR_SECS)).contains("has expired"));
}

#[test]
fn while_the_intermediate_is_fresh_the_root_key_may_be_kept_elsewhere() {
    let place = Place::new();
    place.open(&with_intermediate(), NOW).expect("created");
    fs::remove_file(place.file("root.key.pem")).expect("removed");
    assert!(place.open(&with_intermediate(), NOW).is_ok());
    let error = place.refused(&with_intermediate(), NOW.plus_secs(YEAR_SECS));
    assert!(error.contains("root.key.pem is missing"), "{error}");
}

#[test]
fn no_private_key_is_in_the_debug_output() {
    let place = Place::new();
    let authority = place.open(&config(), NOW).expect("created");
    let text = format!("{authority:?}");
    assert!(text.contains("private: \"redacted\"") && !text.contains("pkcs8"), "{text}");
}
