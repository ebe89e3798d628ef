//! One macro for every validated text type: it is parsed once, at the edge, and cannot be wrong afterwards.

use thiserror::Error;

/// Why a text is not the identifier it claims to be. The message names the kind, quotes nothing longer than
/// [`QUOTED_BYTES_MAX`] and says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} {quoted} is not valid: {why}")]
pub struct InvalidText {
    what: &'static str,
    quoted: String,
    why: String,
}

/// How much of a wrong identifier an error message repeats.
pub const QUOTED_BYTES_MAX: usize = 80;

impl InvalidText {
    /// An error about `text`, which was meant to be a `what`.
    pub fn new(what: &'static str, text: &str, why: impl Into<String>) -> Self {
        let mut quoted: String = text.chars().take(QUOTED_BYTES_MAX).flat_map(char::escape_debug).collect();
        if text.chars().nth(QUOTED_BYTES_MAX).is_some() {
            quoted.push('…');
        }
        Self { what, quoted: format!("`{quoted}`"), why: why.into() }
    }
}

/// Implements the conversions that every validated text type shares: `FromStr`, `Display`, serde, CBOR (as text) and
/// JSON Schema. The type supplies `fn parse(&str) -> Result<Self, InvalidText>` and `fn as_str(&self) -> &str`.
macro_rules! text_type {
    ($name:ident, $pattern:expr, $max_len:expr) => {
        impl std::str::FromStr for $name {
            type Err = $crate::text::InvalidText;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = $crate::text::InvalidText;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(self.as_str())?.ok()
            }
        }
        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Self::parse(d.str()?).map_err(minicbor::decode::Error::message)
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
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "maxLength": $max_len })
            }
        }
    };
}

pub(crate) use text_type;
