//! Private keys as they lie in files: PKCS#8 in PEM, plain, or encrypted under a passphrase.
//!
//! The encrypted form is an `EncryptedPrivateKeyInfo` (RFC 5958 §3) with PBES2 (RFC 8018 §6.2), scrypt (RFC 7914) and
//! AES-256-CBC, so `openssl pkey` reads and writes it, too. It keeps a stolen disk or backup from being a stolen key; whoever
//! can read the memory of the process has the key all the same.

use crate::key::{KeyError, KeyPair};
use crate::pem::{self, Label, PemError};
use aws_lc_rs::rand;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf};
use pkcs8::pkcs5::scrypt;
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// Shortest passphrase, in bytes. It is meant to be made by a machine.
pub const PASSPHRASE_BYTES_MIN: usize = 16;
/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// What deriving a key costs: scrypt with N = 2^14, r = 8, p = 5 takes 16 MiB (RFC 7914 §2). OpenSSL reads
/// nothing beyond 32 MiB.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 5;
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const IV_BYTES: usize = 16;

/// What a file that somebody else wrote may ask for: bytes of memory for scrypt, and bytes that it works through in all its
/// rounds; or rounds of PBKDF2. Either is a few seconds at most.
const SCRYPT_MEMORY_BYTES_MAX: u64 = 256 << 20;
const SCRYPT_WORK_BYTES_MAX: u64 = 512 << 20;
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;

/// What encrypts keys at rest. Wiped when dropped, and never shown.
pub struct Passphrase(Zeroizing<Vec<u8>>);

/// A passphrase cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PassphraseError {
    /// Nobody should be able to guess it.
    #[error("the passphrase has {0} bytes, which is too short; make one with `openssl rand -base64 32`")]
    Short(usize),
    /// It is not a passphrase.
    #[error("the passphrase is longer than {PASSPHRASE_BYTES_MAX} bytes")]
    Long,
}

/// Why the key in a file cannot be used, or not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyFileError {
    /// There is no key in it.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// There is one, of a kind that is not in use.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is encrypted and no passphrase was given.
    #[error("its key is encrypted; give the passphrase with --key-passphrase-fd or --key-passphrase-credential")]
    Locked,
    /// The passphrase does not open it.
    #[error("its key is encrypted under another passphrase, or damaged")]
    Passphrase,
    /// It is encrypted in another way.
    #[error(
        "its key is encrypted in a way that is not read here; use PBES2 with scrypt or PBKDF2, at a cost of at most 256 MiB"
    )]
    Scheme,
}

impl Passphrase {
    /// Takes the bytes without one line end after them.
    pub fn new(mut bytes: Zeroizing<Vec<u8>>) -> Result<Self, PassphraseError> {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        match bytes.len() {
            short if short < PASSPHRASE_BYTES_MIN => Err(PassphraseError::Short(short)),
            long if long > PASSPHRASE_BYTES_MAX => Err(PassphraseError::Long),
            _ => Ok(Self(bytes)),
        }
    }
}

impl Passphrase {
    /// The bytes, to hand them to whoever is to open the keys next.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Writes a key as one PEM block: encrypted if there is a passphrase.
pub fn write(key: &KeyPair, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyFileError> {
    match passphrase {
        None => Ok(pem::write(Label::PrivateKey, key.pkcs8())),
        Some(passphrase) => Ok(pem::write(Label::EncryptedPrivateKey, &encrypt(key.pkcs8(), passphrase)?)),
    }
}

/// Reads the key among the PEM blocks of `text`, and whether it was encrypted. A plain one needs no passphrase.
pub fn read(text: &[u8], passphrase: Option<&Passphrase>) -> Result<(KeyPair, bool), KeyFileError> {
    let Some(encrypted) = pem::read_encrypted_private_key(text)? else {
        return Ok((KeyPair::from_pkcs8(&pem::read_private_key(text)?)?, false));
    };
    let der = decrypt(&encrypted, passphrase.ok_or(KeyFileError::Locked)?)?;
    Ok((KeyPair::from_pkcs8(&der)?, true))
}

fn encrypt(pkcs8: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, KeyFileError> {
    let library = |what| KeyFileError::Key(KeyError::Library(what));
    let (mut salt, mut iv) = ([0; SALT_BYTES], [0; IV_BYTES]);
    rand::fill(&mut salt).and_then(|()| rand::fill(&mut iv)).map_err(|_| library("read random bytes"))?;
    let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P, KEY_BYTES);
    let cost = cost.map_err(|_| library("derive a key from a passphrase"))?;
    let scheme = pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv).map_err(|_| library("encrypt a key"))?;
    let key = PrivateKeyInfo::try_from(pkcs8).map_err(|_| KeyError::PrivateKey)?;
    let encrypted = key.encrypt_with_params(scheme, &*passphrase.0).map_err(|_| library("encrypt a key"))?;
    Ok(encrypted.as_bytes().to_vec())
}

fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let encrypted = EncryptedPrivateKeyInfo::try_from(der).map_err(|_| KeyFileError::Scheme)?;
    if !is_affordable(&encrypted.encryption_algorithm) {
        return Err(KeyFileError::Scheme);
    }
    let key = encrypted.decrypt(&*passphrase.0).map_err(|_| KeyFileError::Passphrase)?;
    Ok(Zeroizing::new(key.as_bytes().to_vec()))
}

fn is_affordable(scheme: &EncryptionScheme<'_>) -> bool {
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Scrypt(asked)) => {
            let memory = asked.cost_parameter.saturating_mul(128 * u64::from(asked.block_size));
            // Each of the rounds fills the memory once (RFC 7914 §6).
            let work = memory.saturating_mul(u64::from(asked.parallelization));
            memory <= SCRYPT_MEMORY_BYTES_MAX && work <= SCRYPT_WORK_BYTES_MAX
        }
        Some(Kdf::Pbkdf2(asked)) => asked.iteration_count <= PBKDF2_ROUNDS_MAX,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyAlgorithm;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.as_bytes().to_vec())).expect("a passphrase")
    }

    #[test]
    fn keys_of_every_kind_come_back_with_their_passphrase_and_not_with_another() {
        let (right, wrong) = (passphrase("correct horse battery\n"), passphrase("correct horse batterz"));
        for algorithm in KeyAlgorithm::ALL {
            let key = KeyPair::generate(algorithm).expect("a key");
            let text = write(&key, Some(&right)).expect("written");
            let (back, encrypted) = read(text.as_bytes(), Some(&passphrase("correct horse battery"))).expect("read");
            assert!(encrypted && back.pkcs8() == key.pkcs8());
            assert_eq!(read(text.as_bytes(), Some(&wrong)).err(), Some(KeyFileError::Passphrase));
            assert_eq!(read(text.as_bytes(), None).err(), Some(KeyFileError::Locked));
            let again = write(&key, Some(&right)).expect("written");
            assert_ne!(*again, *text, "a salt was used twice");
        }
    }

    #[test]
    fn a_plain_key_needs_no_passphrase_and_is_told_apart() {
        let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let text = write(&key, None).expect("written");
        let (back, encrypted) = read(text.as_bytes(), Some(&passphrase("correct horse battery"))).expect("read");
        assert!(!encrypted && back.pkcs8() == key.pkcs8());
    }

    #[test]
    fn a_key_is_found_between_other_blocks() {
        let (key, pass) =
            (KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key"), passphrase("correct horse battery"));
        let key_text = write(&key, Some(&pass)).expect("written");
        let certificate = pem::write(Label::Certificate, &[1, 2, 3]);
        let text = format!("{}{}{}", *certificate, *key_text, *certificate);
        assert_eq!(read(text.as_bytes(), Some(&pass)).expect("read").0.pkcs8(), key.pkcs8());
    }

    #[test]
    fn a_file_that_asks_for_too_much_is_refused_before_any_work() {
        let (salt, iv) = ([7; SALT_BYTES], [8; IV_BYTES]);
        let schemes = [
            pbes2::Parameters::scrypt_aes256cbc(scrypt::Params::new(24, 8, 1, 32).expect("valid"), &salt, &iv),
            // The memory of each round would be allowed.
            pbes2::Parameters::scrypt_aes256cbc(scrypt::Params::new(17, 8, 16, 32).expect("valid"), &salt, &iv),
            pbes2::Parameters::pbkdf2_sha256_aes256cbc(PBKDF2_ROUNDS_MAX + 1, &salt, &iv),
        ];
        for scheme in schemes {
            assert!(!is_affordable(&EncryptionScheme::Pbes2(scheme.expect("a scheme"))));
        }
        let usual = [
            pbes2::Parameters::pbkdf2_sha256_aes256cbc(600_000, &salt, &iv),
            pbes2::Parameters::scrypt_aes256cbc(scrypt::Params::new(17, 8, 1, 32).expect("valid"), &salt, &iv),
        ];
        for scheme in usual {
            assert!(is_affordable(&EncryptionScheme::Pbes2(scheme.expect("a scheme"))));
        }
    }

    #[test]
    fn a_passphrase_has_a_length_and_is_never_shown() {
        let of = |bytes: usize| Passphrase::new(Zeroizing::new(vec![b'x'; bytes]));
        assert_eq!(of(PASSPHRASE_BYTES_MIN - 1).err(), Some(PassphraseError::Short(15)));
        assert_eq!(of(PASSPHRASE_BYTES_MAX + 1).err(), Some(PassphraseError::Long));
        assert_eq!(format!("{:?}", of(PASSPHRASE_BYTES_MAX).expect("a passphrase")), "Passphrase(…)");
    }
}
