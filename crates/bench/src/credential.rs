//! Signing: an order becomes a credential, beside the bare signature.

use crate::BenchError;
use crate::measure::{Measured, Promise, median, rate};
use crate::world::{START, World};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::x509_svid::ServerNames;
use credence_issuer::{Authority, Config, Issuer, NONCE_BYTES};
use std::path::Path;
use std::time::Duration;

/// Length of one measurement, and how many there are of each.
const SLICE: Duration = Duration::from_millis(200);
const SLICES: usize = 7;
/// About as long as what is signed in a certificate.
const MESSAGE_BYTES: usize = 600;

/// X.509-SVIDs and JWT-SVIDs minted from orders by one core, beside P-256 signatures by the same core.
pub(crate) fn minting(dir: &Path) -> Result<Vec<Measured>, BenchError> {
    let mut world = World::open(&dir.join("journal"))?;
    world.fill(1)?;
    world.attach()?;
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256)?;
    let (x509_order, jwt_order) = world.orders(key.public().digest())?;
    let config = Config::new(world.registry.state().settings.trust_domain.clone());
    let issuer = Issuer::new(Authority::open_or_create(&dir.join("authority"), &config, START)?);
    let spki = key.public().spki();
    let (mut x509, mut jwt, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    let mut nonce = 0_u64;
    for _ in 0..SLICES {
        raw.push(signatures_per_second()?);
        x509.push(rate(SLICE, || issuer.x509(&x509_order, spki, ServerNames::default(), next(&mut nonce)).map(drop))?);
        jwt.push(rate(SLICE, || issuer.jwt(&jwt_order, next(&mut nonce)).map(drop))?);
    }
    let raw = median(&mut raw);
    let limit = "P-256 signature";
    Ok(vec![
        Measured::new("x509", "X.509-SVID from an order, one core", median(&mut x509), "1/s", None).beside(
            limit,
            raw,
            Some(Promise::AtLeast(0.7)),
        ),
        Measured::new("jwt", "JWT-SVID from an order, one core", median(&mut jwt), "1/s", None)
            .beside(limit, raw, None),
    ])
}

/// P-256 signatures that one core of this machine makes in a second.
pub fn signatures_per_second() -> Result<f64, BenchError> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
        .map_err(|_| BenchError::Unexpected("a key could not be made"))?;
    let random = SystemRandom::new();
    let message = [0x5A; MESSAGE_BYTES];
    rate(SLICE, || {
        key.sign(&random, &message).map(drop).map_err(|_| BenchError::Unexpected("a signature could not be made"))
    })
}

fn next(nonce: &mut u64) -> [u8; NONCE_BYTES] {
    *nonce += 1;
    let mut bytes = [1; NONCE_BYTES];
    bytes.iter_mut().rev().zip(nonce.to_le_bytes()).for_each(|(to, from)| *to = from);
    bytes
}
