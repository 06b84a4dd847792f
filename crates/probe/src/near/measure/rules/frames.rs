//! Frames by hand, forbidden ones too, and what a server answers to them.

use super::Case;

/// 125 bytes, the most that a Ping may have.
pub(super) const PING: &[u8] = &[b'p'; 125];

/// How a server reacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// A Close frame with this code; 1005 if it has none.
    Closes(u16),
    /// The stream ended.
    Ends,
    /// A Pong with our payload: the connection lives.
    Pongs,
    /// None of these in time.
    Nothing,
}

pub(super) fn case(name: &'static str, section: &'static str, frames: &[u8]) -> Case {
    Case { name, section, frames: frames.to_vec() }
}

/// A client's frame: its first byte as given, the rest as it has to be.
pub(super) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = trunkline_net::random_mask();
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short) if short <= 125 => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The first reaction among a server's frames; nothing while there is none yet.
pub(super) fn reaction(bytes: &[u8]) -> Option<Reaction> {
    let mut rest = bytes;
    loop {
        let (&[first, second], behind) = rest.split_first_chunk::<2>()?;
        let (length, behind) = match second & 0x7f {
            126 => {
                let (length, behind) = behind.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), behind)
            }
            127 => {
                let (length, behind) = behind.split_first_chunk::<8>()?;
                (usize::try_from(u64::from_be_bytes(*length)).ok()?, behind)
            }
            short => (usize::from(short), behind),
        };
        let payload = behind.get(..length)?;
        match first & 0x0f {
            0x8 => {
                let code = payload.split_first_chunk::<2>();
                return Some(Reaction::Closes(code.map_or(1005, |(code, _)| u16::from_be_bytes(*code))));
            }
            0xa if payload == PING => return Some(Reaction::Pongs),
            _ => rest = &behind[length..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reaction_is_found_behind_whatever_else_a_server_says() {
        let message = [0x81, 0x02, b'h', b'i'];
        let long = [&[0x82, 126, 0, 200][..], &[0; 200]].concat();
        let pong = [&[0x8a, 125][..], PING].concat();
        assert_eq!(reaction(&[&message[..], &long, &pong].concat()), Some(Reaction::Pongs));
        assert_eq!(reaction(&[&message[..], &[0x88, 2, 0x03, 0xea]].concat()), Some(Reaction::Closes(1002)));
        assert_eq!(reaction(&[0x88, 0]), Some(Reaction::Closes(1005)));
        for end in 0..pong.len() {
            assert_eq!(reaction(&pong[..end]), None, "{end}");
        }
        assert_eq!(reaction(&[0x8a, 1, b'x']), None, "a Pong that nobody asked for");
        assert_eq!(reaction(&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
