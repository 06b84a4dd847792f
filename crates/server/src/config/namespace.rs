//! What can be said of one namespace. From the file alone: its name would not survive being an environment variable's.

use super::settings::{DAY, GIB, KIB, MANY, Setting, setting};
use crate::policy::{Namespace, SlowReader, Who};
use crate::rate::Rate;

const WHO: &[(&str, Who)] = &[("anyone", Who::Anyone), ("ticket", Who::Ticket), ("nobody", Who::Nobody)];
const SLOW_READER: &[(&str, SlowReader)] = &[
    ("catch-up", SlowReader::CatchUp),
    ("newest-only", SlowReader::NewestOnly),
    ("drop-oldest", SlowReader::DropOldest),
    ("disconnect", SlowReader::Disconnect),
];

/// What can be said of one namespace, under `[namespaces.<name>]`. Defaults are those of the namespace `room`.
pub(super) static NAMESPACE_SETTINGS: &[Setting<Namespace>] = &[
    setting!(
        "subscribe" = "\"ticket\"",
        "Who may subscribe: `anyone`, `ticket` (whoever redeemed one), `nobody`.",
        |n, v| {
            n.subscribe = v.choice(WHO)?;
            Ok(())
        }
    ),
    setting!("publish" = "\"ticket\"", "Who may publish; the API always may.", |n, v| {
        n.publish = v.choice(WHO)?;
        Ok(())
    }),
    setting!("presence" = "true", "Whether clients may ask who is in a channel.", |n, v| {
        n.presence = v.bool()?;
        Ok(())
    }),
    setting!(
        "join_leave" = "true",
        "Whether `join` and `leave` are pushed to those who asked for presence.",
        |n, v| {
            n.join_leave = v.bool()?;
            Ok(())
        }
    ),
    setting!(
        "history_size" = "1000",
        "Publications kept per channel; 0 turns history and recovery off.",
        |n, v| {
            n.history.size = v.count(0..=1_000_000)?;
            Ok(())
        }
    ),
    setting!("history_bytes" = "\"8 MiB\"", "Bytes of publications kept per channel.", |n, v| {
        n.history.bytes = v.bytes(KIB..=GIB)?;
        Ok(())
    }),
    setting!("history_ttl_s" = "600", "How long a publication is kept.", |n, v| {
        n.history.ttl = v.seconds(1.0..=365.0 * DAY)?;
        Ok(())
    }),
    setting!(
        "slow_reader" = "\"catch-up\" with history, else \"newest-only\"",
        "What happens past a full outbox: `catch-up`, `newest-only`, `drop-oldest`, `disconnect`.",
        |n, v| {
            n.slow_reader = Some(v.choice(SLOW_READER)?);
            Ok(())
        }
    ),
    setting!("bound_ticket" = "false", "Whether only tickets that are bound to an address count.", |n, v| {
        n.bound_ticket = v.bool()?;
        Ok(())
    }),
    setting!(
        "publish_per_s" = "no limit",
        "Publications a second of one session in the long run.",
        |n, v| {
            let per_second = v.count(1..=MANY)?;
            n.publish_rate =
                Some(Rate { per_second, burst: n.publish_rate.map_or(per_second, |rate| rate.burst) });
            Ok(())
        }
    ),
    setting!(
        "publish_burst" = "as publish_per_s",
        "Publications that one session may send at once.",
        |n, v| {
            let burst = v.count(1..=MANY)?;
            n.publish_rate =
                Some(Rate { burst, per_second: n.publish_rate.map_or(burst, |rate| rate.per_second) });
            Ok(())
        }
    ),
];
