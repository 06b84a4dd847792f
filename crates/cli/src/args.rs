//! The command line as it is typed. Nothing is decided here; what the values mean is for the commands and `settings`.
//!
//! Some of these hold secrets, so none can be printed with `{:?}`.

mod bench;
mod dial;
mod probe;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Styles;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::bench::{Bench, BenchHub, Load};
pub(crate) use self::dial::{Dial, Http2};
pub(crate) use self::probe::Probe;

/// Where `trunkline serve` listens by default, for those who talk to it.
const HUB: &str = "ws://127.0.0.1:8101/connect";
const API: &str = "http://127.0.0.1:8101";

/// The largest message that `trunkline echo` takes by default, in bytes.
const ECHO_MESSAGE: NonZeroUsize = NonZeroUsize::new(16 << 20).expect("it is not zero");

/// Trunkline holds very many long-lived client connections at the edge, so that an application does not have to
///
/// Exit codes: 0 done, and every connection ended cleanly; 1 it failed, or a connection did not end cleanly; 2 usage. Of
/// probe: 0 healthy, 10 degraded, 20 broken.
#[derive(Parser)]
#[command(name = "trunkline", version, styles = Styles::plain())]
pub(crate) struct Cli {
    /// What is logged to stderr: error, warn, info, debug, trace, or a filter such as `warn,trunkline_net=debug`
    /// [default: info for serve, else warn]
    #[arg(long, global = true, env = "TRUNKLINE_LOG", hide_env_values = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    Check(Check),
    Ticket(Ticket),
    Publish(Publish),
    Subscribe(Subscribe),
    Connect(Connect),
    Echo(Echo),
    Bench(Box<Bench>),
    Probe(Box<Probe>),
}

/// The connection server
///
/// Without arguments: on loopback, everything in memory, with a demo page. Prints where it listens once it does, the
/// page's address, and the API key if it had to make one up. SIGINT or SIGTERM stop it gracefully, a second one at once;
/// SIGHUP makes it read its certificates again.
///
/// Settings come from the configuration file, then the environment (TRUNKLINE_LISTEN_ADDRESS for listen.address), then
/// these flags.
#[derive(Args)]
pub(crate) struct Serve {
    /// Where to listen, in place of listen.address; port 0 lets the system choose. May be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,

    /// PEM file with a certificate and the chain behind it, in place of tls.cert: TLS where it listens. May be repeated,
    /// each with its --key
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Vec<String>,

    /// PEM file with the private key of a --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Vec<String>,

    /// The probe service at /probe, the other end of `trunkline probe`, in place of probe: whoever can connect may use it
    #[arg(long)]
    pub(crate) probe: bool,

    #[command(flatten)]
    pub(crate) config: ConfigFile,
}

/// Checks the configuration and the certificates it names: prints every problem with its file and line, ends with 1 if
/// there is any
#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
}

#[derive(Args)]
pub(crate) struct ConfigFile {
    /// The configuration file [default: trunkline.toml here, if there is one]
    #[arg(long = "config", env = "TRUNKLINE_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
}

/// Mints a ticket through the HTTP API and prints it
#[derive(Args)]
#[command(override_usage = "trunkline ticket [OPTIONS] --user <USER>")]
pub(crate) struct Ticket {
    /// Whose it is
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,

    #[command(flatten)]
    pub(crate) terms: TicketTerms,

    #[command(flatten)]
    pub(crate) api: Api,
}

/// What a ticket is for.
#[derive(Args, Clone)]
pub(crate) struct TicketTerms {
    /// What others see of the user in presence
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) info: Option<String>,

    /// The address that has to redeem it
    #[arg(long, value_name = "IP")]
    pub(crate) ip: Option<IpAddr>,

    /// How the address is compared; all but off need --ip [default: exact if there is one, else off]
    #[arg(long, value_name = "POLICY", requires_ifs = [("exact", "ip"), ("prefix", "ip"), ("adopt", "ip")])]
    pub(crate) policy: Option<AddressPolicy>,

    /// For how many seconds it can be redeemed, at most 60 [default: the server's, 10]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u32>,

    /// What it allows, such as '{"room:*": ["subscribe"]}' [default: what the namespaces say]
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) channels: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum AddressPolicy {
    Exact,
    Prefix,
    Off,
    Adopt,
}

/// Where the HTTP API is, and the key to it.
#[derive(Args, Clone)]
pub(crate) struct Api {
    /// The server's HTTP API
    #[arg(id = "api", long, value_name = "URL", default_value = API)]
    pub(crate) url: String,

    /// The API key. Better in the environment: other users of the machine see the command line
    // Base64url begins with a dash once in 64 times.
    #[arg(
        long,
        value_name = "KEY",
        allow_hyphen_values = true,
        env = "TRUNKLINE_API_KEY",
        hide_env_values = true
    )]
    pub(crate) key: Option<String>,

    #[command(flatten)]
    pub(crate) way: Way,
}

/// The way to a host: through which proxy, and whom to trust there.
#[derive(Args, Clone)]
pub(crate) struct Way {
    /// The proxy: http://, https:// (CONNECT), socks5:// or socks5h:// (which looks names up itself). A password is
    /// better in the environment: other users of the machine see the command line [default: what HTTPS_PROXY,
    /// HTTP_PROXY, ALL_PROXY and NO_PROXY say]
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// Go directly, whatever the environment says
    #[arg(long, conflicts_with = "proxy")]
    pub(crate) no_proxy: bool,

    /// PEM file with the certificate authorities to trust, in place of the system's; for an https:// proxy too
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// Publishes what it reads, one JSON value a line
///
/// Each line is published when the one before it has been, so that they stay in order. The first line that is not JSON,
/// or that the hub refuses for good, ends the command with 1; those behind it are not published. The first connection
/// is tried once; from then on it comes back by itself. A line whose answer was lost with it is reported with its
/// number and not sent again, and the command then ends with 1.
#[derive(Args)]
#[command(override_usage = "trunkline publish [OPTIONS] [--user <USER> | --ticket <TICKET>] <CHANNEL>")]
pub(crate) struct Publish {
    /// Where to
    pub(crate) channel: String,

    /// Publish this and end, rather than read stdin
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,

    /// Lines are text, not JSON: each is published as a string
    #[arg(long)]
    pub(crate) text: bool,

    /// Print the position of each publication, as JSON
    #[arg(long)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) hub: Hub,
}

/// Prints what is published, one JSON object a line
///
/// As {"channel", "offset", "data", "user", "at"}. The first connection is tried once; from then on it comes back by
/// itself, and what that recovered or lost is said on stderr.
#[derive(Args)]
#[command(override_usage = "trunkline subscribe [OPTIONS] [--user <USER> | --ticket <TICKET>] <CHANNEL>...")]
pub(crate) struct Subscribe {
    /// Where from
    #[arg(required = true, value_name = "CHANNEL")]
    pub(crate) channels: Vec<String>,

    /// Print who is there, joins and leaves too: {"channel", "members"}, {"channel", "join"}, {"channel", "leave"}
    #[arg(long)]
    pub(crate) presence: bool,

    #[command(flatten)]
    pub(crate) hub: Hub,
}

/// How to come into the hub: with a ticket, or with tickets minted as needed, or as nobody in particular.
#[derive(Args)]
pub(crate) struct Hub {
    /// The hub's websocket door
    #[arg(long, value_name = "URL", default_value = HUB)]
    pub(crate) url: String,

    /// A ticket, for the first connection; later ones come back with the session
    #[arg(long, value_name = "TICKET", allow_hyphen_values = true, conflicts_with = "user")]
    pub(crate) ticket: Option<String>,

    /// Whose tickets to mint through the API, which needs the API key
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    #[command(flatten)]
    pub(crate) api: Api,
}

/// Talks to any WebSocket server
///
/// On a terminal, with line editing: each line is sent as a text message, messages appear above it, Ctrl-D closes.
/// Otherwise as a pipe: each line of stdin is sent, each message is a line of stdout, and after the end of stdin the
/// connection is closed with 1000 once nothing more comes. Text is printed as it is (its control characters escaped on
/// a terminal), binary as 0x and hexadecimal digits. How the connection ended is told on stderr.
///
/// With --raw it is a netcat instead: stdin goes to the service at the URL and what comes from there to stdout, bytes as
/// they are. The end of stdin is passed on; the end of the stream ends the command, with 0 if it was one.
#[derive(Args)]
pub(crate) struct Connect {
    /// ws://, wss://, http:// or https://. A user name and password in it are sent as Basic authorization and shown
    /// nowhere
    pub(crate) url: String,

    /// A stream of bytes (`Upgrade: stream`), in a WebSocket (`stream.1`) if something on the way lets only those pass, or
    /// by the one that is named. A path of /stream/NAME is asked for quietly, without any --header, unless there is one
    #[arg(
        long,
        value_name = "CARRIER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "any",
        conflicts_with_all = ["subprotocols", "deflate", "wait"]
    )]
    pub(crate) raw: Option<Raw>,

    #[command(flatten)]
    pub(crate) dial: Dial,

    /// As a pipe: after the end of stdin, close when no message has come for this long
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) wait: Duration,
}

/// What may carry a stream of bytes.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Raw {
    Any,
    Upgrade,
    Websocket,
}

/// A bare WebSocket echo server: any path, any Origin, no subprotocol
///
/// The target of conformance and load tests. Takes messages of up to 65,536 fragments, raises the soft limit of
/// descriptors to the hard one, and prints where it listens once it does. SIGINT or SIGTERM close every connection with
/// 1001, a second one ends at once.
#[derive(Args)]
pub(crate) struct Echo {
    /// Where to listen; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001")]
    pub(crate) listen: SocketAddr,

    /// The largest message, in bytes; a larger one closes its connection with 1009
    #[arg(long, value_name = "BYTES", default_value_t = ECHO_MESSAGE)]
    pub(crate) max_message: NonZeroUsize,

    /// Decline every offer of compression
    #[arg(long)]
    pub(crate) no_deflate: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_are_decimal_and_not_negative() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["", "-1", "1s", "nan", "inf"] {
            assert!(seconds(bad).is_err(), "{bad:?}");
        }
    }
}
