//! Descriptors: every connection takes one.

/// What a process needs beside its connections: the standard streams, the runtime, names that are looked up, requests to
/// the API.
const RESERVE: u64 = 256;

/// Raises the soft limit to the hard one, as far as the system lets us. Gives the limit, if it is known.
pub(crate) fn raise_limit() -> Option<u64> {
    let raised = rlimit::increase_nofile_limit(u64::MAX);
    raised.inspect_err(|error| tracing::warn!(%error, "cannot raise the limit of descriptors")).ok()
}

/// Raises the limit, and sees whether there is room for so many connections.
///
/// # Errors
///
/// In words: how many would be needed, and how many there are.
pub(crate) fn make_room(connections: u64) -> Result<(), String> {
    match raise_limit() {
        Some(limit) => fits(connections, limit),
        None => Ok(()),
    }
}

fn fits(connections: u64, limit: u64) -> Result<(), String> {
    let most = limit.saturating_sub(RESERVE);
    if connections <= most {
        return Ok(());
    }
    Err(format!(
        "at most {most} connections with the limit of {limit} descriptors that this process has (ulimit -n), got \
         {connections}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_a_reserve_fit_into_the_limit_and_one_more_does_not() {
        assert_eq!(fits(20_000 - RESERVE, 20_000), Ok(()));
        let why = fits(20_000 - RESERVE + 1, 20_000).expect_err("one too many");
        assert!(
            why.contains("at most 19744") && why.contains("20000 descriptors") && why.ends_with("got 19745"),
            "{why}"
        );
        assert_eq!((fits(0, 10), fits(1, 10).is_err(), fits(1, u64::MAX)), (Ok(()), true, Ok(())));
    }
}
