//! What every TCP socket gets, whichever end opened it.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// How long a TCP connection may be silent before the kernel probes it. Beside the Pings: those need an event loop
/// that runs, these do not.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long sent bytes may stay unacknowledged, or a closed window closed, before the kernel gives up. The default is
/// about 15 minutes of retransmissions, in which a vanished client holds its memory.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Sets `TCP_NODELAY`, `SO_KEEPALIVE` (60 s idle, then every 15 s) and, on Linux, `TCP_USER_TIMEOUT` (60 s).
///
/// # Errors
///
/// Of the system calls; a socket that the remote has reset already may refuse them.
pub fn configure(stream: &TcpStream) -> io::Result<()> {
    set_options(&SockRef::from(stream))
}

/// Sets on a listener what [`configure`] sets, for the connections that it will accept: see [`configure_accepted`].
///
/// # Errors
///
/// Of the system calls.
pub fn configure_listener(listener: &TcpListener) -> io::Result<()> {
    set_options(&SockRef::from(listener))
}

/// As [`configure`], for a connection that a [configured listener](configure_listener) accepted: on Linux it has all of that from
/// there, which spares each handshake five system calls; elsewhere it is set now.
///
/// # Errors
///
/// As for [`configure`].
pub fn configure_accepted(stream: &TcpStream) -> io::Result<()> {
    if cfg!(target_os = "linux") { Ok(()) } else { configure(stream) }
}

fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    // Messages are written whole, so there is nothing for Nagle's algorithm to gather.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL),
    )?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ends_get_keepalive_nodelay_and_a_user_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        configure_listener(&listener).expect("a fresh socket takes its options");
        let address = listener.local_addr().expect("bound");
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (client, server) = (client.expect("connect"), server.expect("accept").0);
        configure(&client).expect("a fresh socket takes its options");
        configure_accepted(&server).expect("it has them");
        for stream in [client, server] {
            let socket = SockRef::from(&stream);
            assert!(stream.nodelay().expect("read back"));
            assert!(socket.keepalive().expect("read back"));
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().expect("read back"), Some(USER_TIMEOUT));
        }
    }
}
