//! One macro for ids that are numbers: ULIDs, in memory as such and in text in their one lower-case form.

use crate::time::Timestamp;

/// Bytes of entropy in one generated id.
pub const ID_ENTROPY_BYTES: usize = 10;

pub(crate) fn ulid(now: Timestamp, entropy: [u8; ID_ENTROPY_BYTES]) -> ulid::Ulid {
    let mut random = [0; 16];
    random[16 - ID_ENTROPY_BYTES..].copy_from_slice(&entropy);
    ulid::Ulid::from_parts(now.as_ms(), u128::from_be_bytes(random))
}

/// Defines such an id.
macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The first of all in their order.
            pub const LEAST: Self = Self(0);

            /// A new id: 48 bits of time and 80 bits of entropy.
            pub fn generate(now: $crate::time::Timestamp, entropy: [u8; $crate::ulid_id::ID_ENTROPY_BYTES]) -> Self {
                Self($crate::ulid_id::ulid(now, entropy).0)
            }

            /// The number that it is.
            pub const fn number(self) -> u128 {
                self.0
            }

            /// When it was made, to the millisecond.
            pub fn made_at(self) -> $crate::time::Timestamp {
                $crate::time::Timestamp(ulid::Ulid(self.0).timestamp_ms())
            }

            /// Reads the 26 characters that `Display` writes.
            pub fn parse(text: &str) -> Result<Self, $crate::text::InvalidText> {
                let invalid = |why| $crate::text::InvalidText::new($what, text, why);
                let id = ulid::Ulid::from_string(text).map_err(|_| invalid("it is not a ULID of 26 characters"))?;
                let id = Self(id.0);
                if id.to_string() == text {
                    Ok(id)
                } else {
                    Err(invalid("it is not in its one canonical, lower-case form"))
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&ulid::Ulid(self.0).to_string().to_ascii_lowercase())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::InvalidText;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    Self::parse(&text).map_err(serde::de::Error::custom)
                } else {
                    u128::deserialize(deserializer).map(Self)
                }
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0.to_be_bytes())?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let wrong = |_| minicbor::decode::Error::message(concat!("a ", $what, " has 16 bytes"));
                Ok(Self(u128::from_be_bytes(d.bytes()?.try_into().map_err(wrong)?)))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": "^[0-7][0-9a-hjkmnp-tv-z]{25}$" })
            }
        }
    };
}

pub(crate) use ulid_id;
