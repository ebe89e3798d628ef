//! What can be wrong with a leaf, with who signed it, and with the chain between them and the root.

use crate::suite::forge::{
    ANY, AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, CLIENT_ONLY, ECDSA_SHA384, EMAIL_ONLY, EXTENDED_KEY_USAGE, Forgery,
    KEY_USAGE, Keys, NAME_CONSTRAINTS, NAMES, POLICY_CONSTRAINTS, SERVER_ONLY, SUBJECT_KEY_ID, UNKNOWN, dns, long_tlv,
    name, signed, tlv, uri,
};
use crate::suite::strictness::Case;

pub(crate) const ID: &str = "spiffe://td.test/ns/finance/agent/expense/actor/a1";
/// Those that we believe; all others are refused.
pub(crate) const BELIEVED: &[&str] = &[
    "leaf: nothing wrong",
    "leaf: no basic constraints",
    "leaf: no CA, with a path length",
    "leaf: no extended key usage",
    "leaf: a DNS name, too",
    "leaf: a subject, too",
    "leaf: an unknown extension",
    "leaf: name constraints",
    "leaf: no authority key identifier",
    "leaf: another authority key identifier",
    "leaf: serial number 0",
    "leaf: a negative serial number",
    "leaf: a long serial number",
    "leaf: its key a point on no curve",
    "DER: false, written out",
    "DER: no CA, written out",
    "DER: zeroes behind the key usage",
    "DER: a long form of a short year",
    "DER: no end",
    "intermediate: nothing wrong",
    "intermediate: basic constraints not critical",
    "intermediate: path length 0",
    "intermediate: the server's end alone",
    "intermediate: the client's end alone",
    "intermediate: no SPIFFE ID",
    "intermediate: no subject key identifier",
    "intermediate: no authority key identifier",
    "intermediate: another authority key identifier",
    "intermediate: an unknown extension",
    "intermediate: only some DNS names",
    "chain: the root sent along",
    "chain: a stranger sent along",
    "chain: two intermediates",
    "chain: in another order",
    "chain: three intermediates",
    "chain: four intermediates",
    "chain: as long as its path length",
    "root: may not sign certificates",
    "root: may not sign certificates, with an intermediate",
    "root: path length 0",
    "root: path length 0, with an intermediate",
    "root: an unknown critical extension",
    "root: an unknown critical extension, with an intermediate",
    "root: e-mail alone",
    "root: e-mail alone, with an intermediate",
    "root: another trust domain",
    "root: another trust domain, with an intermediate",
    "root: two of one name",
];

pub(crate) fn root(keys: &Keys) -> Forgery {
    Forgery::authority("root", &keys.root, "root", &keys.root)
}

pub(crate) fn leaf(keys: &Keys) -> Forgery {
    Forgery::leaf(ID, &keys.leaf, "root", &keys.root)
}

pub(crate) fn all() -> Vec<Case> {
    let keys = Keys::new();
    [leaves(&keys), encodings(&keys), intermediates(&keys), chains(&keys), roots(&keys)].into_iter().flatten().collect()
}

type Spoilt = (&'static str, fn(&mut Forgery));

/// A leaf under the root, with one thing wrong or strange.
const LEAVES: &[Spoilt] = &[
    ("leaf: nothing wrong", |_| {}),
    ("leaf: expired", |leaf| leaf.not_after = tlv(0x17, b"210101000000Z")),
    ("leaf: not valid yet", |leaf| leaf.not_before = tlv(0x17, b"390101000000Z")),
    ("leaf: a CA", |leaf| leaf.set(BASIC_CONSTRAINTS, true, &[0x30, 0x03, 0x01, 0x01, 0xFF])),
    ("leaf: no basic constraints", |leaf| leaf.remove(BASIC_CONSTRAINTS)),
    ("leaf: no CA, with a path length", |leaf| leaf.set(BASIC_CONSTRAINTS, true, &[0x30, 0x03, 0x02, 0x01, 0x00])),
    ("leaf: may sign certificates", |leaf| leaf.set(KEY_USAGE, true, &[0x03, 0x02, 0x02, 0x84])),
    ("leaf: may sign revocation lists", |leaf| leaf.set(KEY_USAGE, true, &[0x03, 0x02, 0x01, 0x82])),
    ("leaf: no key usage", |leaf| leaf.remove(KEY_USAGE)),
    ("leaf: an empty key usage", |leaf| leaf.set(KEY_USAGE, true, &[0x03, 0x01, 0x00])),
    ("leaf: a key usage that is not critical", |leaf| leaf.set(KEY_USAGE, false, &[0x03, 0x02, 0x07, 0x80])),
    ("leaf: key agreement alone", |leaf| leaf.set(KEY_USAGE, true, &[0x03, 0x02, 0x03, 0x08])),
    ("leaf: no extended key usage", |leaf| leaf.remove(EXTENDED_KEY_USAGE)),
    ("leaf: the server's end alone", |leaf| leaf.usages(SERVER_ONLY)),
    ("leaf: the client's end alone", |leaf| leaf.usages(CLIENT_ONLY)),
    ("leaf: e-mail alone", |leaf| leaf.usages(EMAIL_ONLY)),
    ("leaf: any purpose", |leaf| leaf.usages(ANY)),
    ("leaf: an empty extended key usage", |leaf| leaf.usages(&[])),
    ("leaf: no names", |leaf| leaf.remove(NAMES)),
    ("leaf: an empty list of names", |leaf| leaf.names(&[])),
    ("leaf: a DNS name alone", |leaf| leaf.names(&[dns("a.test")])),
    ("leaf: a DNS name, too", |leaf| leaf.names(&[uri(ID), dns("a.test")])),
    ("leaf: two SPIFFE IDs", |leaf| leaf.names(&[uri(ID), uri("spiffe://td.test/other")])),
    ("leaf: the SPIFFE ID twice", |leaf| leaf.names(&[uri(ID), uri(ID)])),
    ("leaf: another URI, too", |leaf| leaf.names(&[uri(ID), uri("https://td.test/")])),
    ("leaf: a web address", |leaf| leaf.names(&[uri("https://td.test/a")])),
    ("leaf: another trust domain", |leaf| leaf.names(&[uri("spiffe://other.test/a")])),
    ("leaf: a trust domain in upper case", |leaf| leaf.names(&[uri("spiffe://TD.test/a")])),
    ("leaf: the trust domain itself", |leaf| leaf.names(&[uri("spiffe://td.test")])),
    ("leaf: a path that goes up", |leaf| leaf.names(&[uri("spiffe://td.test/a/../b")])),
    ("leaf: a query", |leaf| leaf.names(&[uri("spiffe://td.test/a?b")])),
    ("leaf: a NUL in the name", |leaf| leaf.names(&[uri("spiffe://td.test/a\0b")])),
    ("leaf: a name that is no text", |leaf| leaf.names(&[tlv(0x86, b"spiffe://td.test/\xff")])),
    ("leaf: names not critical", |leaf| leaf.set(NAMES, false, &tlv(0x30, &uri(ID)))),
    ("leaf: a subject, too", |leaf| leaf.subject = name("expense")),
    ("leaf: an unknown extension", |leaf| leaf.set(UNKNOWN, false, &[0x05, 0x00])),
    ("leaf: an unknown critical extension", |leaf| leaf.set(UNKNOWN, true, &[0x05, 0x00])),
    ("leaf: critical policy constraints", |leaf| leaf.set(POLICY_CONSTRAINTS, true, &[0x30, 0x03, 0x80, 0x01, 0x00])),
    ("leaf: name constraints", |leaf| leaf.set(NAME_CONSTRAINTS, true, &constraints(0xA0, &uri("td.test")))),
    ("leaf: no authority key identifier", |leaf| leaf.remove(AUTHORITY_KEY_ID)),
    ("leaf: another authority key identifier", |leaf| {
        leaf.set(AUTHORITY_KEY_ID, false, &tlv(0x30, &tlv(0x80, &[9; 20])));
    }),
    ("leaf: another issuer", |leaf| leaf.issuer = name("other")),
    ("leaf: its issuer in another case", |leaf| leaf.issuer = name("Root")),
    ("leaf: an address of three bytes", |leaf| leaf.names(&[uri(ID), tlv(0x87, &[127, 0, 1])])),
    ("leaf: no serial number", |leaf| leaf.serial = vec![0x02, 0x00]),
    ("leaf: serial number 0", |leaf| leaf.serial = vec![0x02, 0x01, 0x00]),
    ("leaf: a negative serial number", |leaf| leaf.serial = vec![0x02, 0x01, 0x80]),
    ("leaf: a long serial number", |leaf| leaf.serial = tlv(0x02, &[0x11; 40])),
    ("leaf: version 1", |leaf| leaf.version = Vec::new()),
    ("leaf: version 1, without extensions", |leaf| {
        leaf.version = Vec::new();
        leaf.extensions.clear();
    }),
    ("leaf: version 2", |leaf| leaf.version = vec![0xA0, 0x03, 0x02, 0x01, 0x01]),
    ("leaf: version 4", |leaf| leaf.version = vec![0xA0, 0x03, 0x02, 0x01, 0x03]),
    ("leaf: version 1, written out", |leaf| leaf.version = vec![0xA0, 0x03, 0x02, 0x01, 0x00]),
    ("leaf: another algorithm inside", |leaf| leaf.inner_algorithm = ECDSA_SHA384.to_vec()),
    ("leaf: another algorithm", |leaf| {
        leaf.inner_algorithm = ECDSA_SHA384.to_vec();
        leaf.outer_algorithm = ECDSA_SHA384.to_vec();
    }),
    ("leaf: no key at all", |leaf| leaf.spki = tlv(0x30, &[])),
    ("leaf: its key a point on no curve", |leaf| {
        leaf.spki.last_mut().map(|byte| *byte ^= 1).expect("a key has bytes");
    }),
];

/// The same, in bytes that DER does not allow.
const ENCODINGS: &[Spoilt] = &[
    ("DER: a long length", |leaf| leaf.subject = long_tlv(0x30, &[])),
    ("DER: an endless length", |leaf| leaf.subject = vec![0x30, 0x80, 0x00, 0x00]),
    ("DER: a padded serial number", |leaf| leaf.serial = vec![0x02, 0x02, 0x00, 0x07]),
    ("DER: true is 1", |leaf| {
        leaf.set_raw(KEY_USAGE, &[&tlv(0x06, KEY_USAGE)[..], &[1, 1, 1], &[4, 4, 3, 2, 7, 0x80]].concat());
    }),
    ("DER: false, written out", |leaf| {
        leaf.set_raw(UNKNOWN, &[&tlv(0x06, UNKNOWN)[..], &[1, 1, 0], &[4, 2, 5, 0]].concat());
    }),
    ("DER: no CA, written out", |leaf| leaf.set(BASIC_CONSTRAINTS, true, &[0x30, 0x03, 0x01, 0x01, 0x00])),
    ("DER: unused bits that are set", |leaf| leaf.set(KEY_USAGE, true, &[0x03, 0x02, 0x07, 0xC0])),
    ("DER: zeroes behind the key usage", |leaf| leaf.set(KEY_USAGE, true, &[0x03, 0x03, 0x07, 0x80, 0x00])),
    ("DER: a byte behind the key usage", |leaf| leaf.set(KEY_USAGE, true, &[0x03, 0x02, 0x07, 0x80, 0x00])),
    ("DER: a byte behind the names", |leaf| leaf.set(NAMES, true, &[&tlv(0x30, &uri(ID))[..], &[0]].concat())),
    ("DER: a byte behind the basic constraints", |leaf| leaf.set(BASIC_CONSTRAINTS, true, &[0x30, 0x00, 0x00])),
    ("DER: a time without seconds", |leaf| leaf.not_before = tlv(0x17, b"2001010000Z")),
    ("DER: a time with an offset", |leaf| leaf.not_before = tlv(0x17, b"200101000000+0000")),
    ("DER: a long form of a short year", |leaf| leaf.not_after = tlv(0x18, b"20400101000000Z")),
    ("DER: a fraction of a second", |leaf| leaf.not_after = tlv(0x18, b"20400101000000.5Z")),
    ("DER: a day that there is not", |leaf| leaf.not_after = tlv(0x17, b"400231000000Z")),
    ("DER: no end", |leaf| leaf.not_after = tlv(0x18, b"99991231235959Z")),
    ("DER: an end in 1950", |leaf| leaf.not_after = tlv(0x17, b"500101000000Z")),
    ("DER: an extension twice", |leaf| leaf.extensions.extend(leaf.extensions.last().cloned())),
    ("DER: names twice", |leaf| leaf.extensions.push((UNKNOWN, other_names()))),
    ("DER: an extension without a value", |leaf| leaf.set_raw(UNKNOWN, &tlv(0x06, UNKNOWN))),
    ("DER: a name that is constructed", |leaf| leaf.names(&[tlv(0xA6, ID.as_bytes())])),
];

/// A second list of names, behind the first.
fn other_names() -> Vec<u8> {
    let value = tlv(0x04, &tlv(0x30, &uri("spiffe://td.test/other")));
    tlv(0x30, &[&tlv(0x06, NAMES)[..], &[1, 1, 0xFF], &value].concat())
}

/// Permitted (`A0`) or excluded (`A1`) names.
fn constraints(which: u8, name: &[u8]) -> Vec<u8> {
    tlv(0x30, &tlv(which, &tlv(0x30, name)))
}

/// An intermediate between the root and a leaf.
const INTERMEDIATES: &[Spoilt] = &[
    ("intermediate: nothing wrong", |_| {}),
    ("intermediate: no CA", |ca| ca.set(BASIC_CONSTRAINTS, true, &[0x30, 0x00])),
    ("intermediate: no basic constraints", |ca| ca.remove(BASIC_CONSTRAINTS)),
    ("intermediate: basic constraints not critical", |ca| {
        ca.set(BASIC_CONSTRAINTS, false, &[0x30, 0x03, 0x01, 0x01, 0xFF]);
    }),
    ("intermediate: path length 0", |ca| {
        ca.set(BASIC_CONSTRAINTS, true, &[0x30, 0x06, 0x01, 0x01, 0xFF, 0x02, 0x01, 0x00]);
    }),
    ("intermediate: a negative path length", |ca| {
        ca.set(BASIC_CONSTRAINTS, true, &[0x30, 0x06, 0x01, 0x01, 0xFF, 0x02, 0x01, 0xFF]);
    }),
    ("intermediate: no key usage", |ca| ca.remove(KEY_USAGE)),
    ("intermediate: may not sign certificates", |ca| ca.set(KEY_USAGE, true, &[0x03, 0x02, 0x01, 0x02])),
    ("intermediate: a key usage that is not critical", |ca| ca.set(KEY_USAGE, false, &[0x03, 0x02, 0x01, 0x06])),
    ("intermediate: expired", |ca| ca.not_after = tlv(0x17, b"210101000000Z")),
    ("intermediate: not valid yet", |ca| ca.not_before = tlv(0x17, b"390101000000Z")),
    ("intermediate: the server's end alone", |ca| ca.usages(SERVER_ONLY)),
    ("intermediate: the client's end alone", |ca| ca.usages(CLIENT_ONLY)),
    ("intermediate: e-mail alone", |ca| ca.usages(EMAIL_ONLY)),
    ("intermediate: any purpose", |ca| ca.usages(ANY)),
    ("intermediate: no SPIFFE ID", |ca| ca.remove(NAMES)),
    ("intermediate: a workload's SPIFFE ID", |ca| ca.names(&[uri(ID)])),
    ("intermediate: another trust domain", |ca| ca.names(&[uri("spiffe://other.test")])),
    ("intermediate: no subject key identifier", |ca| ca.remove(SUBJECT_KEY_ID)),
    ("intermediate: no authority key identifier", |ca| ca.remove(AUTHORITY_KEY_ID)),
    ("intermediate: another authority key identifier", |ca| {
        ca.set(AUTHORITY_KEY_ID, false, &tlv(0x30, &tlv(0x80, &[9; 20])));
    }),
    ("intermediate: an unknown critical extension", |ca| ca.set(UNKNOWN, true, &[0x05, 0x00])),
    ("intermediate: an unknown extension", |ca| ca.set(UNKNOWN, false, &[0x05, 0x00])),
    ("intermediate: only this host", |ca| ca.set(NAME_CONSTRAINTS, true, &constraints(0xA0, &uri("td.test")))),
    ("intermediate: only another host", |ca| ca.set(NAME_CONSTRAINTS, true, &constraints(0xA0, &uri("other.test")))),
    ("intermediate: not this host", |ca| ca.set(NAME_CONSTRAINTS, true, &constraints(0xA1, &uri("td.test")))),
    ("intermediate: not that host", |ca| ca.set(NAME_CONSTRAINTS, true, &constraints(0xA1, &uri("other.test")))),
    ("intermediate: only some DNS names", |ca| {
        ca.set(NAME_CONSTRAINTS, true, &constraints(0xA0, &dns("other.test")));
    }),
    ("intermediate: constraints not critical", |ca| {
        ca.set(NAME_CONSTRAINTS, false, &constraints(0xA0, &uri("other.test")));
    }),
    ("intermediate: version 1", |ca| {
        ca.version = Vec::new();
        ca.extensions.clear();
    }),
    ("intermediate: an extension twice", |ca| ca.extensions.extend(ca.extensions.last().cloned())),
    ("intermediate: another name", |ca| ca.subject = name("other")),
    ("intermediate: another algorithm inside", |ca| ca.inner_algorithm = ECDSA_SHA384.to_vec()),
];

fn leaves(keys: &Keys) -> Vec<Case> {
    let root = root(keys).signed(&keys.root);
    let case = |(what, spoil): &Spoilt| {
        let mut leaf = leaf(keys);
        spoil(&mut leaf);
        Case { name: (*what).to_owned(), chain: vec![leaf.signed(&keys.root)], roots: vec![root.clone()] }
    };
    LEAVES.iter().map(case).collect()
}

fn encodings(keys: &Keys) -> Vec<Case> {
    let root = root(keys).signed(&keys.root);
    let spoilt = ENCODINGS.iter().map(|(what, spoil)| {
        let mut leaf = leaf(keys);
        spoil(&mut leaf);
        (*what, leaf.signed(&keys.root))
    });
    let (body, algorithm) = (leaf(keys).body(), leaf(keys).outer_algorithm);
    let whole = leaf(keys).signed(&keys.root);
    let around = [
        ("DER: a byte behind the certificate", [&whole[..], &[0]].concat()),
        ("DER: cut", whole[..whole.len() - 1].to_vec()),
        ("DER: a byte behind the body", signed(&[&body[..], &[0]].concat(), &algorithm, &keys.root)),
        (
            "DER: a null behind the algorithm",
            signed(&body, &tlv(0x30, &[&algorithm[2..], &[5, 0]].concat()), &keys.root),
        ),
        ("DER: a signature of 0", tlv(0x30, &[&body[..], &algorithm, &[3, 9, 0, 0x30, 6, 2, 1, 0, 2, 1, 0]].concat())),
        ("DER: no signature", tlv(0x30, &[&body[..], &algorithm, &[3, 1, 0]].concat())),
    ];
    let case =
        |(what, leaf): (&str, Vec<u8>)| Case { name: what.to_owned(), chain: vec![leaf], roots: vec![root.clone()] };
    spoilt.chain(around).map(case).collect()
}

fn intermediates(keys: &Keys) -> Vec<Case> {
    let root = root(keys).signed(&keys.root);
    let leaf = Forgery::leaf(ID, &keys.leaf, "intermediate", &keys.other).signed(&keys.other);
    let case = |(what, spoil): &Spoilt| {
        let mut between = Forgery::authority("intermediate", &keys.other, "root", &keys.root);
        spoil(&mut between);
        let chain = vec![leaf.clone(), between.signed(&keys.root)];
        Case { name: (*what).to_owned(), chain, roots: vec![root.clone()] }
    };
    INTERMEDIATES.iter().map(case).collect()
}

/// What stands in a chain, and in which order.
fn chains(keys: &Keys) -> Vec<Case> {
    let root = root(keys).signed(&keys.root);
    let between = |subject: &str, issuer: &str, length: Option<u8>| {
        let mut between =
            Forgery::authority(subject, &keys.other, issuer, if issuer == "root" { &keys.root } else { &keys.other });
        if let Some(length) = length {
            between.set(BASIC_CONSTRAINTS, true, &[0x30, 0x06, 0x01, 0x01, 0xFF, 0x02, 0x01, length]);
        }
        between.signed(if issuer == "root" { &keys.root } else { &keys.other })
    };
    let under = |issuer: &str| Forgery::leaf(ID, &keys.leaf, issuer, &keys.other).signed(&keys.other);
    let (first, second, third) = (between("1", "root", None), between("2", "1", None), between("3", "2", None));
    let direct = leaf(keys).signed(&keys.root);
    let alone = Forgery::leaf(ID, &keys.leaf, "", &keys.leaf).signed(&keys.leaf);
    let table: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("chain: the root sent along", vec![direct.clone(), root.clone()]),
        ("chain: a stranger sent along", vec![direct.clone(), first.clone()]),
        ("chain: the leaf twice", vec![direct.clone(), direct.clone()]),
        ("chain: without the intermediate", vec![under("1")]),
        ("chain: two intermediates", vec![under("2"), second.clone(), first.clone()]),
        ("chain: in another order", vec![under("2"), first.clone(), second.clone()]),
        ("chain: three intermediates", vec![under("3"), third.clone(), second.clone(), first.clone()]),
        (
            "chain: four intermediates",
            vec![under("4"), between("4", "3", None), third.clone(), second.clone(), first.clone()],
        ),
        (
            "chain: five intermediates",
            vec![under("5"), between("5", "4", None), between("4", "3", None), third, second.clone(), first.clone()],
        ),
        ("chain: longer than its path length", vec![under("2"), second.clone(), between("1", "root", Some(0))]),
        ("chain: as long as its path length", vec![under("2"), second, between("1", "root", Some(1))]),
        ("chain: signed by another key", vec![leaf(keys).signed(&keys.other)]),
        ("chain: signed by itself", vec![alone]),
        ("chain: the root itself", vec![root.clone()]),
        ("chain: signed by a leaf", vec![Forgery::leaf(ID, &keys.leaf, "", &keys.leaf).signed(&keys.leaf), direct]),
    ];
    let case = |(what, chain): (&str, _)| Case { name: what.to_owned(), chain, roots: vec![root.clone()] };
    table.into_iter().map(case).collect()
}

/// What is wrong with a root that is trusted.
fn roots(keys: &Keys) -> Vec<Case> {
    const ROOTS: &[Spoilt] = &[
        ("root: expired", |root| root.not_after = tlv(0x17, b"210101000000Z")),
        ("root: no CA", |root| root.set(BASIC_CONSTRAINTS, true, &[0x30, 0x00])),
        ("root: may not sign certificates", |root| root.set(KEY_USAGE, true, &[0x03, 0x02, 0x01, 0x02])),
        ("root: only another host", |root| root.set(NAME_CONSTRAINTS, true, &constraints(0xA0, &uri("other.test")))),
        ("root: path length 0", |root| {
            root.set(BASIC_CONSTRAINTS, true, &[0x30, 0x06, 0x01, 0x01, 0xFF, 0x02, 0x01, 0x00]);
        }),
        ("root: an unknown critical extension", |root| root.set(UNKNOWN, true, &[0x05, 0x00])),
        ("root: e-mail alone", |root| root.usages(EMAIL_ONLY)),
        ("root: another trust domain", |root| root.names(&[uri("spiffe://other.test")])),
    ];
    let other = Forgery::authority("root", &keys.other, "root", &keys.other).signed(&keys.other);
    let leaf = leaf(keys).signed(&keys.root);
    let under = Forgery::leaf(ID, &keys.leaf, "intermediate", &keys.other).signed(&keys.other);
    let between = Forgery::authority("intermediate", &keys.other, "root", &keys.root).signed(&keys.root);
    let mut cases = Vec::new();
    for (what, spoil) in ROOTS {
        let mut root = root(keys);
        spoil(&mut root);
        let roots = vec![root.signed(&keys.root)];
        cases.push(Case { name: (*what).to_owned(), chain: vec![leaf.clone()], roots: roots.clone() });
        let chain = vec![under.clone(), between.clone()];
        cases.push(Case { name: format!("{what}, with an intermediate"), chain, roots });
    }
    let sound = root(keys).signed(&keys.root);
    cases.push(Case {
        name: "root: another one of its name".to_owned(),
        chain: vec![leaf.clone()],
        roots: vec![other.clone()],
    });
    cases.push(Case { name: "root: two of one name".to_owned(), chain: vec![leaf], roots: vec![other, sound] });
    cases
}
