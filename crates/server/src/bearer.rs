//! The token in a request's head.

use credence_model::refusal::{Kind, Refusal};
use http::{HeaderMap, header};

/// The token that says who asks (RFC 6750 §2.1), if one is shown. Any other way to say it is refused and not passed over.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let fits = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(is_token);
        fits.then_some(token)
    });
    match (token, values.next()) {
        (Some(token), None) => Ok(Some(token)),
        _ => Err(Refusal::new(Kind::Unauthenticated, "it is not the one word Bearer and one token")
            .field("Authorization")
            .hint("Leave it away, or log in with `credence login`")),
    }
}

#[cfg(test)]
mod tests {
    use super::bearer;
    use credence_model::refusal::Kind;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn only_one_bearer_token_says_who_asks_and_whatever_else_is_there_is_refused() {
        let read = |texts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append("authorization", HeaderValue::from_static(text));
            }
            bearer(&headers).map(|token| token.map(str::to_owned)).map_err(|refusal| refusal.kind)
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Bearer a.b.c"]), Ok(Some("a.b.c".into())));
        assert_eq!(read(&["bearer a.b.c"]), Ok(Some("a.b.c".into())));
        for wrong in [
            &["Basic YTpi"][..],
            &["Bearer"],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer  a"],
            &["Bearer a", "Bearer a"],
            &[""],
        ] {
            assert_eq!(read(wrong), Err(Kind::Unauthenticated), "{wrong:?}");
        }
    }
}
