//! Events at a steady pace, to see what a path does to a response that takes its time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_core::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{StatusCode, Uri};
use tokio::time::{Instant, Sleep, sleep_until};
use trunkline_probe::wire::{self, Reply, TICKS_LIMIT};

use super::hello::parameter;

/// Events, and milliseconds between them, unless the query says otherwise.
const COUNT: u32 = 20;
const EVERY_MS: u64 = 50;

/// The longest time between two of them (1 min): a response has to come to its end.
const EVERY_MS_LIMIT: u64 = 60_000;

/// `?count=20&every_ms=50`, within limits.
pub(super) fn answer(uri: &Uri) -> Response {
    let number =
        |name, otherwise| parameter(uri, name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let count = u32::try_from(number("count", COUNT.into())).unwrap_or(TICKS_LIMIT).clamp(1, TICKS_LIMIT);
    let every = Duration::from_millis(number("every_ms", EVERY_MS).min(EVERY_MS_LIMIT));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (StatusCode::OK, headers, Body::from_stream(Events::new(count, every))).into_response()
}

struct Events {
    begun: Instant,
    next: Option<u32>,
    count: u32,
    every: Duration,
    due: Pin<Box<Sleep>>,
}

impl Events {
    fn new(count: u32, every: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, next: None, count, every, due: Box::pin(sleep_until(begun)) }
    }
}

impl Stream for Events {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(n) = self.next else {
            // At once, so that nobody waits for the head: some proxies hold it until something follows.
            self.next = Some(0);
            return Poll::Ready(Some(Ok(Bytes::from_static(b": the probe\n\n"))));
        };
        if n == self.count {
            return Poll::Ready(None);
        }
        ready!(self.due.as_mut().poll(cx));
        let at_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let event = format!("data: {}\n\n", wire::encode(&Reply::Tick { n, at_us }));
        self.next = Some(n + 1);
        let due = self.begun + self.every * (n + 1);
        self.due.as_mut().reset(due);
        Poll::Ready(Some(Ok(event.into())))
    }
}
