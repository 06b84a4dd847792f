//! Happy Eyeballs (RFC 8305): one dead address, or a whole dead family, costs a quarter of a second and not the call.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// "The Connection Attempt Delay [...] recommended value [...] is 250 milliseconds" (section 8).
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses of one name are tried. A name with more is served by any of the first; a hostile resolver cannot
/// make us knock everywhere.
pub(crate) const ADDRESSES: usize = 16;

/// Connects to the first address that answers. The next is tried when the one before has not answered for
/// [`ATTEMPT_DELAY`], and at once when it has failed; what is still under way when one succeeds is dropped.
///
/// `None` when all have failed. Each failure is put into `tried` when it happens, so that it is there also for whoever
/// stops waiting.
pub(crate) async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    mut connect: impl FnMut(SocketAddr) -> F,
    tried: &mut Vec<(SocketAddr, io::Error)>,
) -> Option<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = VecDeque::from(addresses);
    let mut under_way = Vec::new();
    let mut next_at = Instant::now();
    loop {
        if next_at <= Instant::now()
            && let Some(address) = waiting.pop_front()
        {
            under_way.push((address, Box::pin(connect(address))));
            next_at = Instant::now() + ATTEMPT_DELAY;
        }
        if under_way.is_empty() {
            return None;
        }
        tokio::select! {
            biased;
            (address, result) = first(&mut under_way) => match result {
                Ok(stream) => return Some(stream),
                Err(error) => {
                    tried.push((address, error));
                    next_at = Instant::now();
                }
            },
            () = sleep_until(next_at), if !waiting.is_empty() => {}
        }
    }
}

/// Waits for whichever ends first, and takes it out.
async fn first<F: Future>(under_way: &mut Vec<(SocketAddr, Pin<Box<F>>)>) -> (SocketAddr, F::Output) {
    poll_fn(|cx| {
        for (index, (address, attempt)) in under_way.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                let address = *address;
                drop(under_way.remove(index));
                return Poll::Ready((address, result));
            }
        }
        Poll::Pending
    })
    .await
}

/// The families in turns, beginning with that of the first address (section 4); each address once, at most
/// [`ADDRESSES`].
pub(crate) fn in_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().copied() else { return Vec::new() };
    let (mut ours, mut others): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first.is_ipv6());
    let mut sorted = Vec::new();
    while sorted.len() < ADDRESSES && !(ours.is_empty() && others.is_empty()) {
        let next = ours.pop_front();
        sorted.extend(next.filter(|address| !sorted.contains(address)));
        (ours, others) = (others, ours);
    }
    sorted
}

#[cfg(test)]
mod tests;
