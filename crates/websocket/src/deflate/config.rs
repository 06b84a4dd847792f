//! Negotiation (RFC 7692 sections 5 and 7.1).

use super::Variant;
use crate::handshake::negotiate::{self, Extension, Extensions, Rsv};

/// The extension's registered name (section 7).
pub const NAME: &str = "permessage-deflate";

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// What to offer (client) or to agree to (server), and how to compress.
///
/// [`Default`] is what the RFC presumes, and as a client what browsers offer; it remembers all it can in both
/// directions. A server wants [`lean`](Self::lean), or less than that of a direction.
///
/// ```
/// use trunkline_websocket::deflate::DeflateConfig;
///
/// let config = DeflateConfig { threshold: 256, ..DeflateConfig::lean() };
/// assert_eq!(config.check(), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    /// 1 is fast, 9 is small.
    pub level: u8,

    /// Messages of fewer bytes go uncompressed.
    pub threshold: usize,

    /// The server forgets each message that it sent. As a client: to ask for that, and not to go without. As a server:
    /// to do so even if it is not asked for.
    pub server_no_context_takeover: bool,

    /// The client forgets each message that it sent. As a server: to ask for that, which no client may refuse. As a
    /// client: to do so, which needs nobody's leave.
    pub client_no_context_takeover: bool,

    /// The server remembers the last 2^this bytes that it sent, 9 to 15. As a client, 15 asks for nothing, and less is
    /// not to be gone without. As a server, this is the most, and a client may ask for less.
    pub server_max_window_bits: u8,

    /// The client remembers the last 2^this bytes that it sent, 9 to 15. As a server, this is the most that it will
    /// remember of them; a client that did not offer to be told is asked to forget each message instead. As a client, this
    /// is the most that it offers, and 15 that it can be told.
    pub client_max_window_bits: u8,
}

/// What is wrong with a [`DeflateConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// [`DeflateConfig::level`].
    #[error("the level of compression is 1 to 9, not {got}")]
    Level {
        /// What it was.
        got: u8,
    },
    /// [`DeflateConfig::server_max_window_bits`] or [`DeflateConfig::client_max_window_bits`].
    #[error("{name} is 9 to 15, not {got}")]
    WindowBits {
        /// Which of both.
        name: &'static str,
        /// What it was.
        got: u8,
    },
}

/// The extension's parameters, as both ends go by them (section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The server forgets each message that it sent.
    pub server_no_context_takeover: bool,
    /// The client forgets each message that it sent.
    pub client_no_context_takeover: bool,
    /// The server looks back at most 2^this bytes, 8 to 15.
    pub server_max_window_bits: u8,
    /// The client looks back at most 2^this bytes, 8 to 15.
    pub client_max_window_bits: u8,
}

/// What the handshake came to: how to go about a connection's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// What both ends go by.
    pub params: Params,
    /// See [`DeflateConfig::level`].
    pub level: u8,
    /// See [`DeflateConfig::threshold`].
    pub threshold: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            // Level 6 comes to a twentieth less, and takes twice as long where messages are large.
            level: 3,
            // With takeover a few words become a few bytes, but no packet is smaller for it.
            threshold: 64,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

impl DeflateConfig {
    /// Neither end remembers its messages, so that an idle connection holds nothing. On its own a message must be larger to
    /// be worth the work.
    pub fn lean() -> Self {
        Self {
            threshold: 256,
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            ..Self::default()
        }
    }

    /// Whether it can be used. One that cannot offers nothing, and agrees to nothing.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), BadConfig> {
        if !(1..=9).contains(&self.level) {
            return Err(BadConfig::Level { got: self.level });
        }
        for (name, got) in [
            (SERVER_MAX_WINDOW_BITS, self.server_max_window_bits),
            (CLIENT_MAX_WINDOW_BITS, self.client_max_window_bits),
        ] {
            if !(9..=15).contains(&got) {
                return Err(BadConfig::WindowBits { name, got });
            }
        }
        Ok(())
    }

    /// What the handshake agreed on; `None` if the extension is not in use. `server` is which of both ends we are.
    pub fn agreed(&self, extensions: &Extensions, server: bool) -> Option<Agreed> {
        let answer = Fields::read(&extensions.get(NAME)?.extension.params).ok()?;
        let mut params = answer.params();
        if !server {
            // We said that we remember no more and go no further, whatever the server makes of it (section 7.1.2.2): it may
            // have made its decompressor by that.
            params.client_no_context_takeover |= self.client_no_context_takeover;
            params.client_max_window_bits = params.client_max_window_bits.min(self.client_max_window_bits);
        }
        Some(Agreed { params, level: self.level, threshold: self.threshold })
    }
}

impl Extension for DeflateConfig {
    fn name(&self) -> &str {
        NAME
    }

    fn rsv(&self) -> Rsv {
        Rsv::RSV1
    }

    fn offers(&self) -> Vec<negotiate::Params> {
        if self.check().is_err() {
            return Vec::new();
        }
        let mut offer = flags(self.server_no_context_takeover, self.client_no_context_takeover);
        if self.server_max_window_bits < 15 {
            offer = offer.value(SERVER_MAX_WINDOW_BITS, self.server_max_window_bits);
        }
        vec![match self.client_max_window_bits {
            15 => offer.flag(CLIENT_MAX_WINDOW_BITS),
            less => offer.value(CLIENT_MAX_WINDOW_BITS, less),
        }]
    }

    fn accept(&self, offer: &negotiate::Params) -> Option<negotiate::Params> {
        self.check().ok()?;
        let offer = Fields::read(offer).ok()?;
        let server_bits = offer.server_max_window_bits.unwrap_or(15).min(self.server_max_window_bits);
        if server_bits < 9 {
            // No compressor here has so small a window.
            return None;
        }
        let (client_bits, client_forgets) = match offer.client_max_window_bits {
            Some(bits) => (bits.unwrap_or(15).min(self.client_max_window_bits), false),
            // It cannot be told (section 7.1.2.2), but it can be asked to forget (section 7.1.1.2).
            None => (15, self.client_max_window_bits < 15),
        };
        let mut answer = flags(
            offer.server_no_context_takeover || self.server_no_context_takeover,
            offer.client_no_context_takeover || self.client_no_context_takeover || client_forgets,
        );
        if server_bits < 15 || offer.server_max_window_bits.is_some() {
            answer = answer.value(SERVER_MAX_WINDOW_BITS, server_bits);
        }
        if client_bits < 15 {
            answer = answer.value(CLIENT_MAX_WINDOW_BITS, client_bits);
        }
        Some(answer)
    }

    fn confirm(&self, answer: &negotiate::Params) -> Result<(), String> {
        let answer = Fields::read(answer)?;
        if self.server_no_context_takeover && !answer.server_no_context_takeover {
            return Err(format!("{SERVER_NO_CONTEXT_TAKEOVER} was asked for and is missing"));
        }
        let (asked, bits) = (self.server_max_window_bits, answer.server_max_window_bits);
        if bits.unwrap_or(15) > asked {
            return Err(format!("{SERVER_MAX_WINDOW_BITS}={asked} was asked for"));
        }
        match answer.client_max_window_bits {
            Some(None) => Err(format!("{CLIENT_MAX_WINDOW_BITS} has no value")),
            Some(Some(8)) => {
                Err(format!("{CLIENT_MAX_WINDOW_BITS}=8 is a window that no compressor here has"))
            }
            _ => Ok(()),
        }
    }
}

impl Params {
    /// Of what the end sends that is, or is not, the server: whether it is forgotten, and the window's bits.
    pub(super) const fn sending(self, server: bool) -> (bool, u8) {
        if server {
            (self.server_no_context_takeover, self.server_max_window_bits)
        } else {
            (self.client_no_context_takeover, self.client_max_window_bits)
        }
    }

    /// The same of what it receives.
    pub(super) const fn receiving(self, server: bool) -> (bool, u8) {
        self.sending(!server)
    }
}

impl Agreed {
    /// How a message can be compressed for this connection on its own; `None` where what we send is remembered, so that
    /// it depends on the messages before it. `server` is which of both ends we are.
    pub fn variant(&self, server: bool) -> Option<Variant> {
        let (no_takeover, window_bits) = self.params.sending(server);
        no_takeover.then_some(Variant { window_bits, level: self.level })
    }
}

fn flags(server_no_context_takeover: bool, client_no_context_takeover: bool) -> negotiate::Params {
    let mut params = negotiate::Params::new();
    if server_no_context_takeover {
        params = params.flag(SERVER_NO_CONTEXT_TAKEOVER);
    }
    if client_no_context_takeover {
        params = params.flag(CLIENT_NO_CONTEXT_TAKEOVER);
    }
    params
}

/// One element of the header, offer or answer, as it was written.
#[derive(Default)]
struct Fields {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Without a value it only says that it may be answered.
    client_max_window_bits: Option<Option<u8>>,
}

impl Fields {
    /// Fails for what section 7.1 gives no meaning: other names, a name that comes twice, a value where none belongs, none
    /// where one does, and one that is not 8 to 15.
    fn read(params: &negotiate::Params) -> Result<Self, String> {
        let mut fields = Self::default();
        for (name, value) in params.iter() {
            let twice = match (name, value) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => {
                    std::mem::replace(&mut fields.server_no_context_takeover, true)
                }
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => {
                    std::mem::replace(&mut fields.client_no_context_takeover, true)
                }
                (SERVER_MAX_WINDOW_BITS, Some(value)) => {
                    fields.server_max_window_bits.replace(window_bits(name, value)?).is_some()
                }
                (CLIENT_MAX_WINDOW_BITS, value) => {
                    let bits = value.map(|value| window_bits(name, value)).transpose()?;
                    fields.client_max_window_bits.replace(bits).is_some()
                }
                (SERVER_NO_CONTEXT_TAKEOVER | CLIENT_NO_CONTEXT_TAKEOVER, Some(_)) => {
                    return Err(format!("{name} takes no value"));
                }
                (SERVER_MAX_WINDOW_BITS, None) => return Err(format!("{name} has no value")),
                _ => return Err("it has a parameter of an unknown name".to_owned()),
            };
            if twice {
                return Err(format!("{name} comes twice"));
            }
        }
        Ok(fields)
    }

    /// What an answer makes both ends go by.
    fn params(&self) -> Params {
        Params {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits.unwrap_or(15),
            client_max_window_bits: self.client_max_window_bits.flatten().unwrap_or(15),
        }
    }
}

/// A decimal from 8 to 15 without leading zeros (section 7.1.2).
fn window_bits(name: &str, value: &str) -> Result<u8, String> {
    let bits = ["8", "9", "10", "11", "12", "13", "14", "15"].into_iter().zip(8..);
    let found = bits.into_iter().find_map(|(text, bits)| (text == value).then_some(bits));
    found.ok_or_else(|| format!("{name} is 8 to 15 and nothing else"))
}
