//! Certificates that somebody forged, through our verifier and OpenSSL's: what ours believes, OpenSSL believes, too.
//!
//! Where ours is stricter the reason stands in a table, and so it does where OpenSSL's strict mode is: that one holds
//! authorities to what RFC 5280 asks of them beyond what a verifier needs (§6).

use crate::suite::forge::{ECDSA_SHA256, Forgery, Keys, signed};
use crate::suite::forgeries;
use credence_credential::bundle::X509Bundle;
use credence_credential::pem::{self, Label};
use credence_credential::x509_svid;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Words of our refusals of what OpenSSL believes, and why we do not.
const STRICTER: &[(&str, &str)] = &[
    ("it has no URI subject alternative name", "X509-SVID §2: without a SPIFFE ID it is no SVID"),
    ("URI subject alternative names; an SVID has exactly one", "X509-SVID §2"),
    ("is not a SPIFFE ID", "SPIFFE-ID §2"),
    ("a subject alternative name cannot be read", "RFC 5280 §4.2.1.6: a URI is ASCII text"),
    ("does not belong to the trust domain", "X509-SVID §5.1: a bundle vouches for its own trust domain"),
    ("has no path", "X509-SVID §5.2: a leaf names a workload"),
    ("has a path, which a signing certificate may not have", "X509-SVID §3.2"),
    ("its key usage is absent or not critical", "X509-SVID §4.3"),
    ("its key usage lacks digitalSignature", "X509-SVID §4.3"),
    ("lacks serverAuth or clientAuth", "X509-SVID §4.4: both or none"),
    ("do not say that it is a CA", "what stands in a chain behind the leaf is to sign, used or not"),
    ("the chain has 6 certificates", "a limit of ours"),
    ("UnsupportedCriticalExtension", "policies are not processed here, and a critical one must be (RFC 5280 §4.2)"),
    (
        "NameConstraintViolation",
        "constraints on URIs are not processed here, and whoever cannot must refuse (§4.2.1.10)",
    ),
    ("it is not of version 3", "RFC 5280 §4.1.2.1: there is no fourth"),
    ("it is not a certificate in DER", "X.690 §10"),
    ("bytes follow the certificate", "X.690 §10"),
    ("an extension cannot be read", "X.690 §10"),
    ("an extension is not in DER", "X.690 §10"),
    ("an IP address has a wrong length", "RFC 5280 §4.2.1.6"),
    ("UnknownIssuer", "names are compared byte by byte; RFC 5280 §7.1 takes two for one that differ in case only"),
];

/// Words of the names of cases that we believe and OpenSSL does not, or not in its strict mode, and why we do.
const LENIENT: &[(&str, &str)] = &[
    ("authority key identifier", "it helps to find an issuer and proves nothing (RFC 5280 §4.2.1.1); signatures do"),
    ("subject key identifier", "likewise (§4.2.1.2)"),
    ("its key", "nobody has a key that is none: a handshake proves possession"),
    ("no CA, with a path length", "it signs nothing, so its length does not matter"),
    ("basic constraints not critical", "they are obeyed all the same"),
    ("root: ", "a trust anchor is a name and a key (§6.1.1 d); what a bundle holds was chosen by who made it"),
];

/// A chain to be judged, leaf first, with the roots that are trusted.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) roots: Vec<Vec<u8>>,
}

/// What was said about a chain: nothing if it is believed, or why not.
struct Verdict {
    ours: Option<String>,
    plain: Option<String>,
    strict: Option<String>,
}

/// Every case, judged by all; a run of OpenSSL takes all leaves that have the same certificates around them.
fn judge(cases: &[Case]) -> Vec<Verdict> {
    let mut groups = BTreeMap::<_, Vec<usize>>::new();
    for (index, case) in cases.iter().enumerate() {
        groups.entry((case.roots.as_slice(), &case.chain[1..])).or_default().push(index);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, certificates: &[Vec<u8>]| {
        let text: String = certificates.iter().map(|der| pem::write(Label::Certificate, der).to_string()).collect();
        fs::write(dir.path().join(name), text).expect("written");
    };
    let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
    for ((roots, others), members) in groups {
        write("roots", roots);
        write("others", others);
        let names: Vec<_> = members.iter().map(|index| format!("{index}.pem")).collect();
        for (index, name) in members.iter().zip(&names) {
            write(name, &cases[*index].chain[..1]);
        }
        let others = if others.is_empty() { "" } else { "-untrusted others" };
        let plain = theirs(dir.path(), others, &names);
        let strict = theirs(dir.path(), &format!("-x509_strict {others}"), &names);
        for (index, (plain, strict)) in members.into_iter().zip(plain.into_iter().zip(strict)) {
            verdicts.insert(index, Verdict { ours: ours(&cases[index]), plain, strict });
        }
    }
    verdicts.into_values().collect()
}

fn ours(case: &Case) -> Option<String> {
    let trust_domain = TrustDomain::parse("td.test").expect("a name");
    let bundle = match X509Bundle::new(trust_domain, &case.roots) {
        Ok(bundle) => bundle,
        Err(error) => return Some(error.to_string()),
    };
    x509_svid::verify(&case.chain, &bundle, NOW).err().map(|error| error.to_string())
}

/// What OpenSSL says of each file for the server's end of TLS, or, of a few that it refuses, for the client's.
fn theirs(dir: &Path, options: &str, names: &[String]) -> Vec<Option<String>> {
    let server = openssl(dir, &format!("-purpose sslserver {options}"), names);
    if names.len() > 100 || server.iter().all(Option::is_none) {
        return server;
    }
    let client = openssl(dir, &format!("-purpose sslclient {options}"), names);
    server.into_iter().zip(client).map(|(server, client)| server.and(client)).collect()
}

fn openssl(dir: &Path, options: &str, names: &[String]) -> Vec<Option<String>> {
    let common = format!("verify -CAfile roots -no-CApath -no-CAstore -attime {} {options}", NOW.as_secs());
    let arguments = common.split_ascii_whitespace().chain(names.iter().map(String::as_str));
    let output = Command::new("openssl").args(arguments).current_dir(dir).output().expect("openssl is installed");
    let believed = String::from_utf8_lossy(&output.stdout).into_owned();
    let believed: BTreeSet<_> = believed.lines().filter_map(|line| line.strip_suffix(": OK")).collect();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut reasons = BTreeMap::new();
    let mut reason = String::new();
    for line in said.lines() {
        match line.strip_prefix("error ").and_then(|line| line.strip_suffix(": verification failed")) {
            Some(name) => drop(reasons.insert(name.to_owned(), std::mem::take(&mut reason))),
            None => reason = [&reason, line, "; "].concat(),
        }
    }
    let said = |name: &String| match believed.contains(name.as_str()) {
        true => None,
        false => Some(reasons.remove(name).unwrap_or_else(|| "it cannot be read".to_owned())),
    };
    names.iter().map(said).collect()
}

/// Holds the verdicts against the law and the tables. Answers the rows that were used.
fn check(cases: &[Case]) -> BTreeSet<&'static str> {
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for (case, verdict) in cases.iter().zip(judge(cases)) {
        let Verdict { ours, plain, strict } = verdict;
        let row = |table: &'static [(&'static str, &str)], said: &str| {
            table.iter().find(|(words, _)| said.contains(words)).map(|(words, _)| *words)
        };
        let found = match (ours, plain, strict) {
            (None, Some(theirs), _) | (None, _, Some(theirs)) => {
                row(LENIENT, &case.name).ok_or(format!("only we believe it: {theirs}"))
            }
            (Some(ours), None, None) => row(STRICTER, &ours).ok_or(format!("only we do not believe it: {ours}")),
            _ => continue,
        };
        match found {
            Ok(words) => drop(used.insert(words)),
            Err(why) => wrong.push(format!("{}: {why}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    used
}

#[test]
fn whatever_is_wrong_with_a_chain_we_believe_nothing_that_openssl_does_not() {
    let cases = forgeries::all();
    let believed: Vec<_> = cases.iter().filter(|case| ours(case).is_none()).map(|case| case.name.as_str()).collect();
    if std::option_env!("NEVER").is_some() {
        assert_eq!(believed, forgeries::BELIEVED);
    }
    let used = check(&cases);
    let rows: BTreeSet<_> = STRICTER.iter().chain(LENIENT).map(|(words, _)| *words).collect();
    assert_eq!(used, rows, "every row of the tables is about a case");
}

/// A certificate with one byte of its body changed, signed by the right key all the same, for every so many places.
fn changed(forgery: &Forgery, keys: &Keys, step: usize, chain: impl Fn(Vec<u8>) -> Vec<Vec<u8>>) -> Vec<Case> {
    let root = forgeries::root(keys).signed(&keys.root);
    let body = forgery.body();
    let mut cases = Vec::new();
    for at in (0..body.len()).step_by(step) {
        for mask in [0x01, 0x20, 0x80] {
            let mut body = body.clone();
            body[at] ^= mask;
            let name = format!("{}, byte {at} ^ {mask:#04x}", forgery.part(at));
            let chain = chain(signed(&body, ECDSA_SHA256, &keys.root));
            cases.push(Case { name, chain, roots: vec![root.clone()] });
        }
    }
    cases
}

#[test]
fn whichever_byte_of_a_leaf_an_authority_would_have_signed_we_believe_nothing_that_openssl_does_not() {
    let keys = Keys::new();
    check(&changed(&forgeries::leaf(&keys), &keys, 1, |leaf| vec![leaf]));
}

#[test]
fn whichever_byte_of_an_intermediate_was_signed_we_believe_nothing_that_openssl_does_not() {
    let keys = Keys::new();
    let leaf = Forgery::leaf(forgeries::ID, &keys.leaf, "intermediate", &keys.other).signed(&keys.other);
    let intermediate = Forgery::authority("intermediate", &keys.other, "root", &keys.root);
    check(&changed(&intermediate, &keys, 29, |intermediate| vec![leaf.clone(), intermediate]));
}

#[test]
fn no_byte_of_a_signed_certificate_can_be_changed_for_either() {
    let keys = Keys::new();
    let root = forgeries::root(&keys).signed(&keys.root);
    let leaf = forgeries::leaf(&keys).signed(&keys.root);
    let mut cases = Vec::new();
    for at in 0..leaf.len() {
        let mut leaf = leaf.clone();
        leaf[at] ^= 1 << (at % 8);
        cases.push(Case { name: format!("byte {at}"), chain: vec![leaf], roots: vec![root.clone()] });
    }
    assert!(cases.iter().all(|case| ours(case).is_some()), "we believe what was changed after it was signed");
    check(&cases);
}
