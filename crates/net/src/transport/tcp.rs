//! What every TCP socket gets, whichever end opened it.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

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
    // Messages are written whole, so there is nothing for Nagle's algorithm to gather.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
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
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn both_ends_get_keepalive_nodelay_and_a_user_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("bound");
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        for stream in [client.expect("connect"), server.expect("accept").0] {
            configure(&stream).expect("a fresh socket takes its options");
            let socket = SockRef::from(&stream);
            assert!(stream.nodelay().expect("read back"));
            assert!(socket.keepalive().expect("read back"));
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().expect("read back"), Some(USER_TIMEOUT));
        }
    }
}
