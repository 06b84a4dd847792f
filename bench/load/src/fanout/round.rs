//! Publications that are on their way, and what each subscriber has to see of them.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::Value;

use super::text_frame;
use crate::Fallible;
use crate::wire::{FIN, TEXT};

/// What is published.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// A hub's `publish`, whose `data` is a string of so many bytes of JSON.
    Publication { size: usize },
    /// A block that goes out as it is: a frame with so many bytes of payload.
    Block { size: usize },
}

pub(super) struct Rounds {
    form: Form,
    subscribers: usize,
    /// The sequence of the first one in `open`.
    first: u64,
    open: VecDeque<Round>,
    /// Position of the first publication in its channel.
    first_offset: Option<u64>,
    payload_bytes: usize,
}

struct Round {
    published: Instant,
    data: String,
    /// What the first subscriber saw, and was found good; most others see the same bytes.
    seen: Option<Vec<u8>>,
    missing: usize,
}

impl Rounds {
    pub(super) fn new(form: Form, subscribers: usize) -> Self {
        Self { form, subscribers, first: 0, open: VecDeque::new(), first_offset: None, payload_bytes: 0 }
    }

    /// Those that not all have seen.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    pub(super) fn published(&self) -> u64 {
        self.first + self.open.len() as u64
    }

    /// Of a delivery.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    pub(super) fn missing(&self) -> String {
        let missing: usize = self.open.iter().map(|round| round.missing).sum();
        format!("{missing} deliveries of {} publications are missing", self.open.len())
    }

    /// The next one, and what the publisher says for it.
    pub(super) fn begin(&mut self, channel: &str, now: Instant) -> Vec<u8> {
        let sequence = self.published();
        let (data, order) = match self.form {
            Form::Publication { size } => {
                // With its quotes as long as was asked for.
                let data = format!("{sequence:0>width$}", width = size.saturating_sub(2));
                let id = sequence + 1;
                let command = format!(r#"{{"id":{id},"publish":{{"channel":"{channel}","data":"{data}"}}}}"#);
                let order = text_frame(&command);
                (data, order)
            }
            Form::Block { size } => {
                let data = format!("{sequence:0>size$}");
                let block = unmasked(data.as_bytes());
                let mut order = (block.len() as u32).to_be_bytes().to_vec();
                order.extend(block);
                (data, order)
            }
        };
        self.open.push_back(Round { published: now, data, seen: None, missing: self.subscribers });
        order
    }

    /// What a subscriber saw as its delivery `sequence`; gives back when it was published.
    pub(super) fn deliver(&mut self, sequence: u64, payload: &[u8]) -> Fallible<Instant> {
        let index = sequence.checked_sub(self.first).ok_or("a delivery too many")?;
        let round = self.open.get_mut(index as usize).ok_or("a delivery that was not published")?;
        if round.seen.as_deref() != Some(payload) {
            match self.form {
                Form::Publication { .. } => {
                    let offset = judge(payload, &round.data)?;
                    let first = *self.first_offset.get_or_insert(offset - sequence);
                    if offset != first + sequence {
                        return Err(format!("offset {offset} where {} was due", first + sequence).into());
                    }
                }
                Form::Block { .. } if payload == round.data.as_bytes() => {}
                Form::Block { .. } => return Err("other bytes than were sent".into()),
            }
            self.payload_bytes = payload.len();
            round.seen = Some(payload.to_vec());
        }
        round.missing -= 1;
        let published = round.published;
        while self.open.front().is_some_and(|round| round.missing == 0) {
            self.open.pop_front();
            self.first += 1;
        }
        Ok(published)
    }
}

/// The offset of a push that says `data`.
fn judge(payload: &[u8], data: &str) -> Fallible<u64> {
    let push: Value = serde_json::from_slice(payload)?;
    let publication = &push["pub"];
    if publication["data"] != data {
        return Err(format!("not what was published next: {push}").into());
    }
    Ok(publication["offset"].as_u64().ok_or("no offset")?)
}

/// A text frame as a server sends it.
fn unmasked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | TEXT];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}
