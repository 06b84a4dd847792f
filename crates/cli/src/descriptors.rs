//! Descriptors: every connection takes one.

/// Raises the soft limit to the hard one, as far as the system lets us.
pub(crate) fn raise_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit of descriptors");
    }
}
