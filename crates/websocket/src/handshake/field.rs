//! The grammar of field values that both roles share (RFC 9110 §5.6): tokens, lists, single values.
//!
//! Everything here walks a value once, from left to right.

use std::str;

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING};

/// `tchar` of RFC 9110 §5.6.2: what tokens, and so header names and methods, are made of.
pub(crate) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// `1*tchar`.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_tchar)
}

/// The value without the spaces and tabs around it (`OWS`).
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// How often a field came that must come at most once.
pub(crate) enum Single<'h> {
    None,
    /// Its only value, trimmed.
    One(&'h [u8]),
    /// More than one field of this name.
    Several(usize),
}

/// The field `name`, of which a message may have one line.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Single<'h> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.count()) {
        (None, _) => Single::None,
        (Some(value), 0) => Single::One(trim_ows(value.as_bytes())),
        (Some(_), more) => Single::Several(more + 1),
    }
}

/// A member of a list that the list's grammar does not know.
pub(crate) struct BadMember<'h>(pub(crate) &'h [u8]);

/// Whether `wanted` is a member, ASCII case aside, of the list that all lines of the field `name` make up together.
///
/// "A recipient MUST parse and ignore a reasonable number of empty list elements" (RFC 9110 §5.6.1.2). A member that
/// is neither token nor, where the list has them, `token "/" token` makes the whole list unusable: else
/// `x="a, upgrade"` would be read as an upgrade here and as one odd parameter by the proxy in front.
pub(crate) fn list_contains<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    wanted: &str,
) -> Result<bool, BadMember<'h>> {
    let mut found = false;
    for value in headers.get_all(name) {
        for member in value.as_bytes().split(|byte| *byte == b',').map(trim_ows) {
            if !member.is_empty() && !member.split(|byte| *byte == b'/').all(is_token) {
                return Err(BadMember(member));
            }
            found |= member.eq_ignore_ascii_case(wanted.as_bytes());
        }
    }
    Ok(found)
}

/// A body that these headers announce (RFC 9112 §6), or that nobody can delimit; in words.
///
/// `Content-Length: 0` announces none. Anything a proxy could read in two ways counts as a body: smuggling lives there.
pub(crate) fn declared_body(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(TRANSFER_ENCODING) {
        return Some(format!("Transfer-Encoding: {}", value.as_bytes().escape_ascii()));
    }
    match single(headers, &CONTENT_LENGTH) {
        Single::None | Single::One(b"0") => None,
        Single::One(value) => Some(format!("Content-Length: {}", value.escape_ascii())),
        Single::Several(count) => Some(format!("{count} Content-Length fields")),
    }
}

/// A reader of one field value, for the grammars that have more to them than commas.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    pub(crate) const fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Steps over every leading byte of `set`.
    pub(crate) fn skip(&mut self, set: &[u8]) {
        let len = self.rest.iter().take_while(|byte| set.contains(byte)).count();
        self.rest = &self.rest[len..];
    }

    /// Steps over `byte` if it comes next, and says whether it did.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let next = self.rest.first() == Some(&byte);
        if next {
            self.rest = &self.rest[1..];
        }
        next
    }

    /// The token that comes next.
    pub(crate) fn token(&mut self) -> Option<&'a str> {
        let len = self.rest.iter().take_while(|byte| is_tchar(**byte)).count();
        let (token, rest) = self.rest.split_at(len);
        self.rest = rest;
        str::from_utf8(token).ok().filter(|token| !token.is_empty())
    }

    /// The quoted string that comes next, unescaped, if what it says is a token: "the value after quoted-string
    /// unescaping MUST conform to the 'token' ABNF" (RFC 6455 §9.1).
    pub(crate) fn quoted_token(&mut self) -> Option<String> {
        if !self.eat(b'"') {
            return None;
        }
        let mut token = String::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            let byte = match byte {
                b'"' => return Some(token).filter(|token| !token.is_empty()),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    escaped
                }
                byte => byte,
            };
            if !is_tchar(byte) {
                return None;
            }
            token.push(char::from(byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CONNECTION, HeaderValue};

    use super::*;

    fn connection(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (CONNECTION, HeaderValue::from_str(value).expect("a header value")))
            .collect()
    }

    #[test]
    fn a_list_is_read_across_lines_without_case_and_without_its_empty_members() {
        for lines in [
            &["upgrade"] as &[_],
            &["Upgrade"],
            &["keep-alive, Upgrade"],
            &["close, upgrade"],
            &["keep-alive", "Upgrade"],
            &[" ,, ,\tUPGRADE\t,"],
        ] {
            assert!(
                matches!(list_contains(&connection(lines), &CONNECTION, "upgrade"), Ok(true)),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_list_contains_whole_members_only() {
        for lines in [&[] as &[_], &[""], &["upgraded"], &["not-upgrade"], &["up", "grade"]] {
            assert!(
                matches!(list_contains(&connection(lines), &CONNECTION, "upgrade"), Ok(false)),
                "{lines:?}"
            );
        }
        for lines in
            [&["upgrade keep-alive"] as &[_], &["x=\"a, upgrade ,b\""], &["upgrade;q=1"], &["upgrade/"]]
        {
            assert!(list_contains(&connection(lines), &CONNECTION, "upgrade").is_err(), "{lines:?}");
        }
    }

    #[test]
    fn trimming_takes_spaces_and_tabs_from_both_ends_and_nothing_else() {
        for (value, trimmed) in [("", ""), (" \t ", ""), (" a b\t", "a b"), ("\u{a0}a", "\u{a0}a")] {
            assert_eq!(trim_ows(value.as_bytes()), trimmed.as_bytes());
        }
    }

    #[test]
    fn a_quoted_string_must_end_and_must_say_a_token() {
        for (value, token) in [
            (r#""a""#, Some("a")),
            (r#""a\b""#, Some("ab")),
            (r#""\"""#, None),
            (r#""""#, None),
            (r#""a"#, None),
            (r#""a\"#, None),
            (r#""a b""#, None),
            ("a", None),
        ] {
            assert_eq!(Cursor::new(value.as_bytes()).quoted_token().as_deref(), token, "{value}");
        }
    }
}
