//! Headers of responses, as HTTP/2 wants them.

use std::time::SystemTime;

use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};

/// "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields" (RFC 9113 section 8.2.2).
const CONNECTION_SPECIFIC: [HeaderName; 6] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Takes out what is about one HTTP/1.1 connection, and what `Connection` says is, and adds the `Date` that "an origin
/// server with a clock MUST generate" (RFC 9110 section 6.6.1).
pub(super) fn finish(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    for name in named.collect::<Vec<HeaderName>>().iter().chain(&CONNECTION_SPECIFIC) {
        headers.remove(name);
    }
    headers.entry(DATE).or_insert_with(|| {
        let date = httpdate::fmt_http_date(SystemTime::now());
        HeaderValue::try_from(date).expect("a date is ASCII without controls")
    });
}

/// Says how long the body is, unless that has been said.
pub(super) fn set_length(headers: &mut HeaderMap, length: u64) {
    headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_about_one_http1_connection_are_taken_out_and_the_rest_is_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("connection", "also, , not a name"),
            ("x-hop", "1"),
            ("also", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("te", "trailers"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        finish(&mut headers);
        let left = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")));
        let left = left.collect::<Vec<_>>();
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(left, [date, ("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    }

    #[test]
    fn a_date_is_added_where_there_is_none() {
        let mut headers = HeaderMap::new();
        finish(&mut headers);
        let date = headers[DATE].to_str().expect("ASCII");
        assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    }
}
