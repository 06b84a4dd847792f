//! Through a SOCKS5 proxy (RFC 1928), with a user name and password if it wants them (RFC 1929).

use std::io;

use tokio_socks::IntoTargetAddr;
use tokio_socks::tcp::Socks5Stream;

use super::url::ProxyUrl;
use crate::dial::{DialCause, DialError, Dialled, Dialling, Phase, Way};

/// The host's name is looked up by the proxy (`socks5h:`). An address stays one.
pub(super) async fn open_named(
    dialling: Dialling<'_>,
    proxy: &ProxyUrl,
    way: &Way,
) -> Result<Dialled, DialError> {
    ask(dialling, proxy, way, (dialling.url.host(), dialling.url.port())).await
}

/// The host's name is looked up here (`socks5:`). One address after the other: a proxy tells at once what it cannot
/// reach, and to race through it would be to open several tunnels for one connection.
pub(super) async fn open_resolved(
    dialling: Dialling<'_>,
    proxy: &ProxyUrl,
    way: &Way,
) -> Result<Dialled, DialError> {
    let mut tried = Vec::new();
    for address in dialling.addresses(dialling.url, way).await? {
        match ask(dialling, proxy, way, address).await {
            Err(DialError { cause: DialCause::Proxy(error), .. }) if is_about_address(&*error) => {
                tried.push((address, io::Error::other(error)));
            }
            Err(error) => return Err(DialError { tried, ..error }),
            Ok(stream) => return Ok(stream),
        }
    }
    Err(DialError { tried, ..way.failed(Phase::Proxy, DialCause::Unreachable) })
}

/// Whether another address may fare better. A wrong password does not get better by repetition.
fn is_about_address(error: &(dyn std::error::Error + 'static)) -> bool {
    use tokio_socks::Error;
    matches!(
        error.downcast_ref(),
        Some(
            Error::GeneralSocksServerFailure
                | Error::NetworkUnreachable
                | Error::HostUnreachable
                | Error::ConnectionRefused
                | Error::TtlExpired
                | Error::AddressTypeNotSupported
        )
    )
}

async fn ask<'t>(
    dialling: Dialling<'_>,
    proxy: &ProxyUrl,
    way: &Way,
    target: impl IntoTargetAddr<'t>,
) -> Result<Dialled, DialError> {
    // A name that is too long for the protocol is refused here.
    let target = target
        .into_target_addr()
        .map_err(|error| way.failed(Phase::Proxy, DialCause::Proxy(error.into())))?;
    let (stream, _) = dialling.tcp(&proxy.at, way, false).await?;
    let work = async {
        match proxy.plain() {
            Some((user, password)) => {
                Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
            }
            None => Socks5Stream::connect_with_socket(stream, target).await,
        }
    };
    let result = dialling.watch.bound(Phase::Proxy, way, work).await?;
    result.map(Socks5Stream::into_inner).map_err(|error| way.failed(Phase::Proxy, cause(error)))
}

fn cause(error: tokio_socks::Error) -> DialCause {
    match error {
        tokio_socks::Error::Io(error) => error.into(),
        error => DialCause::Proxy(error.into()),
    }
}
